"""Reading the bytes of a state file, compressed or not, in bounded memory. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import IO

from rwm.errors import BadState

PIECE = 1 << 18
"""Bytes that are read at once, and the largest piece that is yielded."""

_GZIP = b"\x1f\x8b"
_WITH_HEADER = 16 + zlib.MAX_WBITS


class CutOff(BadState):
    """The file is cut off."""


def pieces(file: IO[bytes]) -> Iterator[bytes]:
    """The content of a file, in pieces that are never empty; unpacked when it begins as gzip does.

    Raises CutOff for gzip that ends early, BadState for gzip that is damaged or has something after its end (several
    members in one file too: RWM writes one).
    """
    head = _first(file)
    if head.startswith(_GZIP):
        yield from _unpacked(head, file)
    else:
        while head:
            yield head
            head = file.read(PIECE)


def _first(file: IO[bytes]) -> bytes:
    head = file.read(PIECE)
    if len(head) < len(_GZIP):
        head += file.read(PIECE)  # a stream may give less than there is
    return head


def _unpacked(packed: bytes, file: IO[bytes]) -> Iterator[bytes]:
    unpack = zlib.decompressobj(wbits=_WITH_HEADER)
    while packed:
        try:
            piece = unpack.decompress(packed, PIECE)
        except zlib.error as error:
            raise BadState(f"the file is damaged: {error}") from error
        if piece:
            yield piece
        if unpack.eof:
            if unpack.unused_data or file.read(1):
                raise BadState("something follows the end of the compressed file")
            return
        packed = unpack.unconsumed_tail or file.read(PIECE)
    raise CutOff("the file is cut off")
