"""Decompress a state file in bounded memory. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import IO

from rwm.errors import BadState

PIECE = 1 << 18
"""Bytes read at once, and the largest piece yielded."""

_GZIP = b"\x1f\x8b"
_WITH_HEADER = 16 + zlib.MAX_WBITS


class CutOff(BadState):
    """The file is cut off."""


def pieces(file: IO[bytes]) -> Iterator[bytes]:
    """The content of a file in pieces, none of them empty; decompressed if it is gzip.

    Raises CutOff for gzip that ends early, BadState for gzip that is damaged or followed by other data, such as a
    second member.
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
        head += file.read(PIECE)  # a stream may return less than it has
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
