"""A proxy in its own process, so that it does not share the interpreter lock with the measured code."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from bench.proxy.faults import ANY, Matching, Rule
from bench.proxy.server import Proxy
from bench.proxy.traffic import RequestRecord, TrafficTotal


class RemoteProxy:
    """A :class:`bench.proxy.Proxy` in another process. Predicates must be made by ``matching``."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()
        self.url: str = pipe.recv()

    def add(self, rule: Rule) -> None:
        """See :class:`bench.proxy.Proxy`."""
        self._call("add", rule)

    def clear(self) -> None:
        """See :class:`bench.proxy.Proxy`."""
        self._call("clear")

    def requests(self, when: Matching = ANY) -> list[RequestRecord]:
        """See :class:`bench.proxy.Proxy`."""
        seen: list[RequestRecord] = self._call("requests", when)
        return seen

    def total(self, method: str | None = None) -> TrafficTotal:
        """See :class:`bench.proxy.Proxy`."""
        total: TrafficTotal = self._call("total", method)
        return total

    def reset_traffic(self) -> None:
        """See :class:`bench.proxy.Proxy`."""
        self._call("reset_traffic")

    def down(self) -> None:
        """See :class:`bench.proxy.Proxy`."""
        self._call("down")

    def up(self) -> None:
        """See :class:`bench.proxy.Proxy`."""
        self._call("up")

    def _call(self, name: str, *arguments: object) -> Any:
        with self._lock:
            self._pipe.send((name, arguments))
            return self._pipe.recv()


@contextmanager
def proxy_process(upstream: str, *, latency: float = 0.0, rate: float | None = None) -> Iterator[RemoteProxy]:
    """Start a proxy in its own process, which ends with the block and with this process."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(upstream, latency, rate, there), daemon=True)
    process.start()
    there.close()
    try:
        yield RemoteProxy(here)
    finally:
        here.close()
        process.terminate()
        process.join()


def _serve(upstream: str, latency: float, rate: float | None, pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # on Ctrl-C the parent stops this process
    proxy = Proxy(upstream, latency=latency, rate=rate)
    pipe.send(proxy.url)
    while True:
        try:
            name, arguments = pipe.recv()
        except EOFError:
            os._exit(0)
        pipe.send(getattr(proxy, name)(*arguments))
