"""The proxy server: accepts connections, one thread for each, and can go down and up again."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from typing import Self
from urllib.parse import urlsplit

from bench.proxy.exchange import Exchange, Link
from bench.proxy.faults import ANY, Predicate, Rule, Rules
from bench.proxy.traffic import RequestRecord, Traffic, TrafficTotal
from bench.proxy.wire import Stop
from rwm.config import Credentials

BACKLOG = 1024


class Proxy:
    """A proxy at ``url`` for the server at ``upstream`` (``http://host:port``), over a simulated link.

    ``latency`` is the round trip of the link in seconds. It is added once for a new connection and before each answer,
    interim answers included. ``rate`` is in bytes per second, for each connection and direction. ``port`` 0 selects a
    free one. With ``keys``, requests changed by a fault are signed again, see :mod:`bench.proxy.signing`; all others
    are forwarded unchanged, with signatures for the address of the proxy.

    Thread-safe. A client that closes its sending side counts as disconnected.
    """

    def __init__(
        self,
        upstream: str,
        *,
        latency: float = 0.0,
        rate: float | None = None,
        port: int = 0,
        keys: Credentials | None = None,
        region: str = "us-east-1",
    ) -> None:
        server = urlsplit(upstream)
        if server.scheme != "http" or server.hostname is None or server.path.strip("/"):
            raise ValueError(f"not http://host:port: {upstream}")
        if latency < 0 or (rate is not None and rate <= 0):
            raise ValueError(f"not a link: latency {latency}, rate {rate}")
        self._link = Link(server.hostname, server.port or 80, latency, rate, keys, region)
        self._rules = Rules()
        self._traffic = Traffic()
        self._switch = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._stop = Stop()
        self._socket = _bound(port)
        self._running = False
        self._closed = False
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.up()

    def add(self, rule: Rule) -> None:
        """Append a rule; it applies to requests from now on."""
        self._rules.add(rule)

    def clear(self) -> None:
        """Remove all rules."""
        self._rules.clear()

    def requests(self, when: Predicate = ANY) -> list[RequestRecord]:
        """The matching requests among the last :data:`bench.proxy.traffic.MAX_RECORDS`, oldest first."""
        return self._traffic.requests(when)

    def total(self, method: str | None = None) -> TrafficTotal:
        """Number and bytes of all requests, or of those with a method, since the start or the last reset."""
        return self._traffic.total(method)

    def reset_traffic(self) -> None:
        """Forget the requests so far and count from zero."""
        self._traffic.reset()

    def down(self) -> None:
        """Reset all connections and refuse new ones. Idempotent."""
        with self._switch:
            self._down()

    def up(self) -> None:
        """Accept connections again, on the same port. Idempotent; does nothing after :meth:`close`."""
        with self._switch:
            if self._running or self._closed:
                return
            self._socket.listen(BACKLOG)
            self._running = True
            self._listener = threading.Thread(target=self._accept, args=(self._socket, self._stop), daemon=True)
            self._listener.start()

    def close(self) -> None:
        """End all threads. Idempotent."""
        with self._switch:
            if not self._closed:
                self._down()
                self._closed = True
                self._socket.close()
                self._stop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _down(self) -> None:
        if not self._running:
            return
        self._stop.set()
        self._listener.join()  # no thread is added after this
        while self._threads:
            with contextlib.suppress(KeyError):  # the thread has ended by itself
                self._threads.pop().join()
        self._stop.close()
        self._stop = Stop()
        self._socket.close()
        self._socket = _bound(self.port)  # keep the port; without listen() connections are refused
        self._running = False

    def _accept(self, listener: socket.socket, stop: Stop) -> None:
        poller = select.poll()
        poller.register(stop.fd, select.POLLIN)
        poller.register(listener, select.POLLIN)
        while stop.fd not in dict(poller.poll()):
            with contextlib.suppress(BlockingIOError, ConnectionAbortedError):
                client, _ = listener.accept()
                exchange = Exchange(client, self._link, stop, self._rules, self._traffic)
                thread = threading.Thread(target=self._run, args=(exchange,), daemon=True)
                self._threads.add(thread)
                thread.start()

    def _run(self, exchange: Exchange) -> None:
        try:
            exchange.run()
        finally:
            self._threads.discard(threading.current_thread())


def _bound(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setblocking(False)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    return bound
