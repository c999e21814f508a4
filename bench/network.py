"""The network links over which peers are compared: plain loopback, and a simulated slow link."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from bench.proxy import RemoteProxy, TrafficTotal, proxy_process


class Link(NamedTuple):
    """``latency`` is the round trip in seconds, ``rate`` the bytes per second of a connection (None: no limit)."""

    name: str
    latency: float
    rate: float | None

    @property
    def is_plain(self) -> bool:
        """Whether the link is loopback without a proxy."""
        return not self.latency and self.rate is None


LINKS = (Link("no delay", 0, None), Link("80 ms round trip, 12 MB/s for each connection", 0.08, 12e6))


class LinkedEndpoint(NamedTuple):
    """The endpoint of a server over a link. Only a simulated link counts the traffic."""

    endpoint: str
    proxy: RemoteProxy | None

    def reset_traffic(self) -> None:
        """Start counting from zero."""
        if self.proxy is not None:
            self.proxy.reset_traffic()

    def get_traffic(self) -> TrafficTotal | None:
        """The GET requests since the reset, and their bytes; None on plain loopback."""
        return None if self.proxy is None else self.proxy.total("GET")


@contextmanager
def open_link(link: Link, endpoint: str) -> Iterator[LinkedEndpoint]:
    """Open the link to a server. A plain link has no proxy, which would use CPU."""
    if link.is_plain:
        yield LinkedEndpoint(endpoint, None)
        return
    with proxy_process(endpoint, latency=link.latency, rate=link.rate) as proxy:
        yield LinkedEndpoint(proxy.url, proxy)
