"""Sockets whose reads, writes and pauses end when the proxy stops."""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import select
import socket
import struct
import termios
import time

from bench.proxy.message import BadMessage, Head

BUFFER = 1 << 18
MAX_HEAD = 1 << 16
PIECE = 1 << 16
"""The largest write on a link with a rate."""

LINGER_SECONDS = 2.0
"""How long a client that still sends may read the last answer before the socket is closed."""

Bytes = bytes | bytearray | memoryview


class Ended(Exception):
    """The connection has ended; ``reset`` says whether the client gets a reset."""

    def __init__(self, *, reset: bool) -> None:
        super().__init__(reset)
        self.reset = reset


class Stop:
    """A flag that threads can poll together with sockets. It cannot be cleared."""

    def __init__(self) -> None:
        self.fd = os.eventfd(0)

    def set(self) -> None:
        """Wake all current and future waiters."""
        os.eventfd_write(self.fd, 1)

    def close(self) -> None:
        """Close the descriptor; no thread may be waiting."""
        os.close(self.fd)


class Watch:
    """Waits for the thread of a connection; a wait ends when the proxy stops or the client disconnects."""

    def __init__(self, stop: Stop, client: socket.socket) -> None:
        self._stop = stop
        self._client = client

    def wait(self, *wanted: tuple[socket.socket, int], seconds: float | None = None) -> set[socket.socket]:
        """The sockets with one of their events, none after ``seconds``. Raises Ended."""
        poller = select.poll()
        poller.register(self._stop.fd, select.POLLIN)
        poller.register(self._client, select.POLLRDHUP)
        for each, events in wanted:
            poller.register(each, events | (select.POLLRDHUP if each is self._client else 0))
        ready = dict(poller.poll(None if seconds is None else math.ceil(seconds * 1000)))
        if self._stop.fd in ready:
            raise Ended(reset=True)
        if ready.get(self._client.fileno(), 0) & (select.POLLRDHUP | select.POLLHUP | select.POLLERR):
            raise Ended(reset=False)
        return {each for each, _ in wanted if each.fileno() in ready}

    def pause(self, seconds: float | None) -> None:
        """Wait for ``seconds`` (None: until the end of the connection). Raises Ended."""
        if seconds is None or seconds > 0:
            self.wait(seconds=seconds)


class Pacer:
    """Computes when bytes arrive at the other end of a link with a rate. Pure: the time is an argument."""

    SLACK = 0.1
    """Seconds of delay (late wake-ups, a slow sender) that are caught up within a message."""

    def __init__(self, rate: float) -> None:
        """``rate`` in bytes per second."""
        self._rate = rate
        self._free = 0.0
        self.piece = max(1 << 10, min(PIECE, int(rate / 50)))
        """Bytes in one write."""

    def begin(self, now: float) -> None:
        """Start a message: idle time of the link before it is not caught up."""
        self._free = max(self._free, now)

    def due(self, size: int, now: float) -> float:
        """The time at which the next ``size`` bytes have arrived."""
        self._free = max(self._free, now - self.SLACK) + size / self._rate
        return self._free


class Wire:
    """One end of a connection, with a read buffer. Not thread-safe."""

    def __init__(self, end: socket.socket, watch: Watch, rate: float | None = None) -> None:
        """``rate`` limits sending, in bytes per second."""
        end.setblocking(False)
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = end
        self._watch = watch
        self._pacer = None if rate is None else Pacer(rate)
        self._buffer = bytearray(BUFFER)
        self._view = memoryview(self._buffer)
        self._start = self._end = 0

    @property
    def pending(self) -> bool:
        """Whether the buffer has unread bytes."""
        return self._start < self._end

    def head(self) -> Head | None:
        """Read the next head; None if the other side has closed. Raises BadMessage, OSError, Ended."""
        raw = self._until(b"\r\n\r\n")
        return None if raw is None else Head(raw)

    def line(self) -> bytes:
        """Read the next line with its end. Raises BadMessage, OSError, Ended (also for a truncated line)."""
        found = self._until(b"\r\n")
        if found is None:
            raise Ended(reset=False)
        return found

    def take(self, limit: int = BUFFER) -> memoryview:
        """Read up to ``limit`` bytes; empty at the end. Valid until the next call.

        Raises OSError, Ended.
        """
        if not self.pending:
            self._start = self._end = 0
            self._fill()
        start, self._start = self._start, min(self._end, self._start + limit)
        return self._view[start : self._start]

    def begin(self) -> None:
        """Start sending a new message."""
        if self._pacer is not None:
            self._pacer.begin(time.monotonic())

    def send(self, data: Bytes) -> None:
        """Send all data at the rate of the link. Raises OSError, Ended."""
        if self._pacer is None:
            self._push(memoryview(data))
            return
        for start in range(0, len(data), self._pacer.piece):
            piece = memoryview(data)[start : start + self._pacer.piece]
            now = time.monotonic()
            self._watch.pause(self._pacer.due(len(piece), now) - now)
            self._push(piece)

    def wait_until_delivered(self) -> None:
        """Wait until the other side has acknowledged all sent data, which a reset would discard. Raises Ended."""
        while struct.unpack("i", fcntl.ioctl(self.socket, termios.TIOCOUTQ, b"\0" * 4)) != (0,):
            self._watch.pause(0.001)

    def close(self, *, reset: bool) -> None:
        """Close with a reset, or cleanly: then read for a while what the other side still sends."""
        with contextlib.suppress(OSError, Ended):
            if reset:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                self.socket.shutdown(socket.SHUT_WR)
                deadline = time.monotonic() + LINGER_SECONDS
                while (left := deadline - time.monotonic()) > 0:
                    self._watch.wait((self.socket, select.POLLIN), seconds=left)
                    with contextlib.suppress(BlockingIOError):
                        if not self.socket.recv_into(self._view):
                            break
        self.socket.close()

    def _until(self, mark: bytes) -> bytes | None:
        searched = self._start
        while (at := self._buffer.find(mark, searched, self._end)) < 0:
            if self._end - self._start > MAX_HEAD:
                raise BadMessage("a line or a head is too long")
            searched = max(self._start, self._end - len(mark) + 1)
            if self._end == BUFFER or not self.pending:
                kept = self._end - self._start
                self._view[:kept] = bytes(self._view[self._start : self._end])
                searched -= self._start
                self._start, self._end = 0, kept
            if not self._fill():
                if self.pending:
                    raise Ended(reset=False)
                return None
        start, self._start = self._start, at + len(mark)
        return bytes(self._view[start : self._start])

    def _fill(self) -> int:
        """Append received bytes to the buffer; 0 at the end."""
        while True:
            try:
                count = self.socket.recv_into(self._view[self._end :])
            except BlockingIOError:
                self._watch.wait((self.socket, select.POLLIN))
            else:
                self._end += count
                return count

    def _push(self, data: memoryview) -> None:
        while len(data):
            try:
                data = data[self.socket.send(data) :]
            except BlockingIOError:
                self._watch.wait((self.socket, select.POLLOUT))
