"""The proxy itself: it listens, gives each connection a thread, goes down and comes up again."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from typing import Self
from urllib.parse import urlsplit

from bench.proxy.exchange import Exchange, Link
from bench.proxy.faults import ANY, Predicate, Rule, Rules
from bench.proxy.traffic import Seen, Total, Traffic
from bench.proxy.wire import Stop

BACKLOG = 1024


class Proxy:
    """HTTP/1.1 to the server at ``upstream`` (``http://host:port``), through ``url``, over a link that can be bad.

    ``latency`` is the link's round trip in seconds: it passes once when a connection is made and before each answer
    (also before one that only asks for the body). ``rate`` is in bytes per second, for each connection and direction.
    ``port`` 0 takes a free one. With ``keys`` requests that a fault has changed are signed anew, see
    :mod:`bench.proxy.signing`; all others pass as they are, and their signatures are for this proxy's address.

    All methods can be called from any thread. A client that closes its side for writing is taken to be gone.
    """

    def __init__(
        self,
        upstream: str,
        *,
        latency: float = 0.0,
        rate: float | None = None,
        port: int = 0,
        keys: tuple[str, str] | None = None,
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
        """Put a rule behind the others; it holds for requests that come from now on."""
        self._rules.add(rule)

    def clear(self) -> None:
        """Remove all rules."""
        self._rules.clear()

    def requests(self, when: Predicate = ANY) -> list[Seen]:
        """The requests that match, of the last :data:`bench.proxy.traffic.KEPT`, as they came."""
        return self._traffic.requests(when)

    def total(self, method: str | None = None) -> Total:
        """Number and bytes of all requests since the beginning, or of those with a method."""
        return self._traffic.total(method)

    def forget(self) -> None:
        """Count and list from here."""
        self._traffic.forget()

    def down(self) -> None:
        """The endpoint is gone: connections are reset, and new ones refused. Returns when that is so. Idempotent."""
        with self._switch:
            self._down()

    def up(self) -> None:
        """It is back, on the same port. Idempotent; nothing after :meth:`close`."""
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
        self._listener.join()  # from here on nobody adds threads
        while self._threads:
            with contextlib.suppress(KeyError):  # it has ended by itself
                self._threads.pop().join()
        self._stop.close()
        self._stop = Stop()
        self._socket.close()
        self._socket = _bound(self.port)  # ours still, and closed to everybody while it does not listen
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
