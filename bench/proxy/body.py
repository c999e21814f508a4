"""Read, change and send bodies piece by piece, whatever their framing: faults change the bytes only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from bench.proxy.message import Frame, Open, chunk_size
from bench.proxy.wire import BUFFER, Bytes, Ended, Wire

_INVERTED = bytes(255 - byte for byte in range(256))


class Body:
    """A body received from a wire. ``trailers`` are the lines after the last chunk, once it has been read."""

    def __init__(self, wire: Wire, frame: Frame) -> None:
        self.frame = frame
        self.trailers = b""
        self._wire = wire

    def pieces(self) -> Iterator[Bytes]:
        """The bytes, each piece valid until the next. Raises BadMessage, OSError, Ended (also for a truncated body)."""
        if isinstance(self.frame, int):
            yield from self._exactly(self.frame)
        elif self.frame is Open.UNTIL_CLOSE:
            while piece := self._wire.take():
                yield piece
        else:
            while size := chunk_size(self._wire.line()):
                yield from self._exactly(size)
                self._wire.line()
            while (line := self._wire.line()) != b"\r\n":
                self.trailers += line

    def _exactly(self, size: int) -> Iterator[Bytes]:
        while size:
            piece = self._wire.take(min(size, BUFFER))
            if not piece:
                raise Ended(reset=False)
            size -= len(piece)
            yield piece


def send(wire: Wire, body: Body, pieces: Iterable[Bytes]) -> None:
    """Send the pieces in the framing of the body. Raises OSError, Ended and what the pieces raise."""
    if body.frame is not Open.CHUNKED:
        for piece in pieces:
            wire.send(piece)
        return
    for piece in pieces:
        if len(piece):
            wire.send(b"%x\r\n%b\r\n" % (len(piece), bytes(piece)))
    wire.send(b"0\r\n%b\r\n" % body.trailers)


def flipped(pieces: Iterable[Bytes], offset: int) -> Iterator[Bytes]:
    """Invert one byte."""
    for piece in pieces:
        if 0 <= offset < len(piece):
            changed = bytearray(piece)
            changed[offset] ^= 0xFF
            yield changed
        else:
            yield piece
        offset -= len(piece)


def inverted(pieces: Iterable[Bytes]) -> Iterator[Bytes]:
    """Invert all bytes, so that every byte is wrong."""
    for piece in pieces:
        yield bytes(piece).translate(_INVERTED)


def shortened(pieces: Iterable[Bytes], by: int) -> Iterator[Bytes]:
    """Remove the last ``by`` bytes."""
    held = b""
    for piece in pieces:
        held += bytes(piece)
        cut = max(0, len(held) - by)
        yield held[:cut]
        held = held[cut:]


def lengthened(pieces: Iterable[Bytes], by: int) -> Iterator[Bytes]:
    """Append ``by`` zeros."""
    yield from pieces
    while by > 0:
        yield bytes(min(by, BUFFER))
        by -= BUFFER


def interrupted(pieces: Iterable[Bytes], after: int, act: Callable[[], None]) -> Iterator[Bytes]:
    """Pass all pieces on; call ``act`` after ``after`` bytes, or at the end if there are fewer."""
    done = False
    for piece in pieces:
        if not done and len(piece) >= after:
            yield memoryview(piece)[:after]
            act()
            done = True
            yield memoryview(piece)[after:]
        else:
            yield piece
        after -= len(piece)
    if not done:
        act()
