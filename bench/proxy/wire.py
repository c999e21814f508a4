"""Sockets that wait for nothing for ever: a thread that reads, writes or pauses is woken when the proxy stops."""

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
LARGEST_HEAD = 1 << 16
PIECE = 1 << 16
"""The most that a link with a rate takes at once."""

LINGER = 2.0
"""Seconds in which whoever still sends may read our last words before the socket is closed."""

Bytes = bytes | bytearray | memoryview


class Ended(Exception):
    """The connection is over; ``reset`` tells whether the client is to see it as a reset."""

    def __init__(self, *, reset: bool) -> None:
        super().__init__(reset)
        self.reset = reset


class Stop:
    """A flag that threads can wait for together with sockets. Once set it stays."""

    def __init__(self) -> None:
        self.fd = os.eventfd(0)

    def set(self) -> None:
        """Wake all who wait, now and later."""
        os.eventfd_write(self.fd, 1)

    def close(self) -> None:
        """Only when nobody waits any more."""
        os.close(self.fd)


class Watch:
    """How the thread of a connection waits: never longer than until the proxy stops or the client leaves."""

    def __init__(self, stop: Stop, client: socket.socket) -> None:
        self._stop = stop
        self._client = client

    def wait(self, *wanted: tuple[socket.socket, int], seconds: float | None = None) -> set[socket.socket]:
        """Those sockets that have one of their events, after ``seconds`` none. Raises Ended."""
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
        """Do nothing for so long, for None until the end. Raises Ended."""
        if seconds is None or seconds > 0:
            self.wait(seconds=seconds)


class Pacer:
    """When bytes arrive at the other end of a link with a rate. Pure: it is told what time it is."""

    SLACK = 0.1
    """Seconds that are made up for within a message, when we were woken late or the sender faltered."""

    def __init__(self, rate: float) -> None:
        """``rate`` in bytes per second."""
        self._rate = rate
        self._free = 0.0
        self.piece = max(1 << 10, min(PIECE, int(rate / 50)))
        """Bytes to send at once."""

    def begin(self, now: float) -> None:
        """A message begins: the link's idle time before it is lost."""
        self._free = max(self._free, now)

    def due(self, size: int, now: float) -> float:
        """The time at which the next ``size`` bytes have arrived."""
        self._free = max(self._free, now - self.SLACK) + size / self._rate
        return self._free


class Wire:
    """One end of a connection, read through a buffer. One thread only."""

    def __init__(self, end: socket.socket, watch: Watch, rate: float | None = None) -> None:
        """``rate`` in bytes per second limits what is sent."""
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
        """Whether something was received that was not taken."""
        return self._start < self._end

    def head(self) -> Head | None:
        """The next head, None when the other side has closed instead. Raises BadMessage, OSError, Ended."""
        raw = self._until(b"\r\n\r\n")
        return None if raw is None else Head(raw)

    def line(self) -> bytes:
        """The next line with its end. Raises BadMessage, OSError, Ended (also when it is cut off)."""
        found = self._until(b"\r\n")
        if found is None:
            raise Ended(reset=False)
        return found

    def take(self, most: int = BUFFER) -> memoryview:
        """What comes next, not more than ``most`` bytes; empty at the end. Good until the next call.

        Raises OSError, Ended.
        """
        if not self.pending:
            self._start = self._end = 0
            self._fill()
        start, self._start = self._start, min(self._end, self._start + most)
        return self._view[start : self._start]

    def begin(self) -> None:
        """What is sent from now on is a new message."""
        if self._pacer is not None:
            self._pacer.begin(time.monotonic())

    def send(self, data: Bytes) -> None:
        """Send all of it, as fast as the link is. Raises OSError, Ended."""
        if self._pacer is None:
            self._push(memoryview(data))
            return
        for start in range(0, len(data), self._pacer.piece):
            piece = memoryview(data)[start : start + self._pacer.piece]
            now = time.monotonic()
            self._watch.pause(self._pacer.due(len(piece), now) - now)
            self._push(piece)

    def arrived(self) -> None:
        """Return when the other side's kernel has all that was sent: a reset would throw it away. Raises Ended."""
        while struct.unpack("i", fcntl.ioctl(self.socket, termios.TIOCOUTQ, b"\0" * 4)) != (0,):
            self._watch.pause(0.001)

    def close(self, *, reset: bool) -> None:
        """Close, with a reset or in good order: then what the other side still sends is let in for a while."""
        with contextlib.suppress(OSError, Ended):
            if reset:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                self.socket.shutdown(socket.SHUT_WR)
                deadline = time.monotonic() + LINGER
                while (left := deadline - time.monotonic()) > 0:
                    self._watch.wait((self.socket, select.POLLIN), seconds=left)
                    with contextlib.suppress(BlockingIOError):
                        if not self.socket.recv_into(self._view):
                            break
        self.socket.close()

    def _until(self, mark: bytes) -> bytes | None:
        looked = self._start
        while (at := self._buffer.find(mark, looked, self._end)) < 0:
            if self._end - self._start > LARGEST_HEAD:
                raise BadMessage("a line or a head without end")
            looked = max(self._start, self._end - len(mark) + 1)
            if self._end == BUFFER or not self.pending:
                kept = self._end - self._start
                self._view[:kept] = bytes(self._view[self._start : self._end])
                looked -= self._start
                self._start, self._end = 0, kept
            if not self._fill():
                if self.pending:
                    raise Ended(reset=False)
                return None
        start, self._start = self._start, at + len(mark)
        return bytes(self._view[start : self._start])

    def _fill(self) -> int:
        """Receive behind what is there; 0 at the end."""
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
