"""The ways to a server on which peers are compared: loopback as it is, and a link that is far and narrow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from bench.proxy import Remote, Total, in_process


class Link(NamedTuple):
    """``latency`` is a round trip in seconds, ``rate`` bytes per second of each connection, None for no limit."""

    name: str
    latency: float
    rate: float | None

    @property
    def is_plain(self) -> bool:
        """Whether it is loopback itself."""
        return not self.latency and self.rate is None


LINKS = (Link("no delay", 0, None), Link("80 ms round trip, 12 MB/s for each connection", 0.08, 12e6))


class Line(NamedTuple):
    """An endpoint to use. Loopback itself counts nothing."""

    endpoint: str
    proxy: Remote | None

    def forget(self) -> None:
        """Count from here."""
        if self.proxy is not None:
            self.proxy.forget()

    def read(self) -> Total | None:
        """The GETs since then, and the bytes that they brought; None where nobody counts."""
        return None if self.proxy is None else self.proxy.total("GET")


@contextmanager
def laid(link: Link, endpoint: str) -> Iterator[Line]:
    """The link to that server. A plain one has no proxy in it, which would take its share of the CPU."""
    if link.is_plain:
        yield Line(endpoint, None)
        return
    with in_process(endpoint, latency=link.latency, rate=link.rate) as proxy:
        yield Line(proxy.url, proxy)
