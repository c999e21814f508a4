"""The choice of the proxy for a server, made once for boto3, restic and aws, which read the variables differently."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import NamedTuple, Self
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}


class ProxyVariables(NamedTuple):
    """The values of the proxy variables. ``repr`` omits them: a proxy's URL may hold a password."""

    http: str = ""
    https: str = ""
    no_proxy: str = ""

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Self:
        """Read ``http_proxy``, ``https_proxy`` and ``no_proxy``; lower case before upper case, even if empty."""

        def value(name: str) -> str:
            return environment.get(name, environment.get(name.upper(), "")).strip()

        return cls(value("http_proxy"), value("https_proxy"), value("no_proxy"))

    def __repr__(self) -> str:
        return "ProxyVariables(…)"

    def choose(self, url: str) -> str | None:
        """The URL of the proxy for requests to ``url``; None for a direct connection.

        Loopback is always direct, because restic has no option to change that.
        """
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        proxy = self.https if parts.scheme == "https" else self.http
        if not proxy or _is_loopback(host) or is_excluded(host, parts.port or _PORTS[parts.scheme], self.no_proxy):
            return None
        return proxy if "://" in proxy else f"http://{proxy}"

    def for_programs(self, url: str) -> dict[str, str]:
        """Proxy variables with which any program makes the choice of :meth:`choose` for ``url``.

        A direct server is added to ``no_proxy``, for programs that do not understand the entry that excludes it. The
        choice for other servers does not change.
        """
        values = {"http_proxy": self.http, "https_proxy": self.https, "no_proxy": self.no_proxy}
        if (self.http or self.https) and self.choose(url) is None:
            host = urlsplit(url).hostname or ""
            forms = [host, f"[{host}]"] if ":" in host else [host]
            entries = [entry for entry in self.no_proxy.split(",") if entry.strip()]
            values["no_proxy"] = ",".join([*entries, *(form for form in forms if form not in entries)])
        return {case: value for name, value in values.items() if value for case in (name, name.upper())}


def without_proxy_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without the variables that :class:`ProxyVariables` reads."""
    return {name: value for name, value in environment.items() if name.lower() not in _NAMES}


_NAMES = ("http_proxy", "https_proxy", "no_proxy")


def is_excluded(host: str, port: int, no_proxy: str) -> bool:
    """Whether an entry of ``no_proxy`` names the host.

    Entries are separated by commas or blanks, each with ``:PORT`` or without: ``*``, a domain with its subdomains
    (``example.com``, ``.example.com``, ``*.example.com``), an address, or a network (``10.0.0.0/8``). Names are not
    resolved to compare them with networks.
    """
    return any(_matches(host.lower(), port, entry) for entry in no_proxy.lower().replace(",", " ").split())


def _matches(host: str, port: int, entry: str) -> bool:
    if entry == "*":
        return True
    address = _address(host)
    try:
        if address is not None and address in ipaddress.ip_network(entry, strict=False):
            return True
    except ValueError:  # a name, or an entry with a port
        pass
    name, colon, end = entry.rpartition(":")
    if colon and end.isdecimal() and (":" not in name or name.startswith("[")):
        if int(end) != port:
            return False
        entry = name
    if address is not None:
        return address == _address(entry.strip("[]"))
    domain = entry.removeprefix("*").strip(".")
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
