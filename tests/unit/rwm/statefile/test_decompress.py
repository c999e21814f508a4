"""The bytes of a file, compressed or not, however they come in."""

from __future__ import annotations

import gzip
import io
import os
import zlib

import pytest

from rwm.errors import BadState
from rwm.statefile.decompress import PIECE, CutOff, pieces

TEXT = b"some lines\nof a file\n" * 1000


class Dripping(io.BytesIO):
    """Gives less than it is asked for, as a network does."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(1)


def unpacked(data: bytes) -> bytes:
    return b"".join(pieces(io.BytesIO(data)))


@pytest.mark.parametrize("text", [b"", b"a", b"\x1f", TEXT])
def test_content_is_what_was_written_packed_or_not(text: bytes) -> None:
    assert unpacked(text) == unpacked(gzip.compress(text)) == text
    assert b"".join(pieces(Dripping(text[:100]))) == text[:100]
    assert b"".join(pieces(Dripping(gzip.compress(text)))) == text


def test_no_piece_is_empty_or_large() -> None:
    for data in (bytes(3 * PIECE), gzip.compress(bytes(100 * PIECE)), gzip.compress(os.urandom(2 * PIECE))):
        sizes = {len(piece) for piece in pieces(io.BytesIO(data))}
        assert 0 not in sizes
        assert max(sizes) <= PIECE


@pytest.mark.parametrize("size", [2, 5, 11, 40, -9, -5, -1])
def test_what_is_cut_off_is_said_to_be(size: int) -> None:
    with pytest.raises(CutOff, match="the file is cut off"):
        unpacked(gzip.compress(TEXT)[:size])


def test_damage_is_found() -> None:
    data = bytearray(gzip.compress(TEXT))
    data[-6] ^= 1
    with pytest.raises(BadState, match=r"the file is damaged: .*incorrect data check"):
        unpacked(bytes(data))
    with pytest.raises(BadState, match="the file is damaged"):
        unpacked(b"\x1f\x8bno gzip at all")


def test_nothing_may_follow_the_end() -> None:
    packed = gzip.compress(os.urandom(PIECE))
    for more in (b"x", b"\0", packed):
        with pytest.raises(BadState, match="something follows the end"):
            unpacked(packed + more)
        with pytest.raises(BadState, match="something follows the end"):
            list(pieces(Dripping(gzip.compress(b"") + more)))


def test_the_first_piece_comes_before_the_last_is_read() -> None:
    file = io.BytesIO(gzip.compress(os.urandom(10 * PIECE)))
    next(pieces(file))
    assert file.tell() <= 2 * PIECE


def test_other_compression_is_not_sniffed() -> None:
    assert unpacked(zlib.compress(b"x")) == zlib.compress(b"x")
