"""Changes of bodies, independent of how they are split into pieces."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from bench.proxy import body
from bench.proxy.wire import Bytes

PIECES = st.lists(st.binary(min_size=1, max_size=5), max_size=5)


def whole(pieces: Iterable[Bytes]) -> bytes:
    """Copy each piece before the next is read, as pieces are valid only until then."""
    return b"".join(bytes(piece) for piece in pieces)


@given(PIECES, st.integers(0, 30))
def test_flipped_changes_one_byte_for_any_pieces(pieces: list[bytes], offset: int) -> None:
    expected = bytearray(b"".join(pieces))
    if offset < len(expected):
        expected[offset] ^= 0xFF
    assert whole(body.flipped(pieces, offset)) == expected


@given(PIECES)
def test_inverted_changes_every_byte(pieces: list[bytes]) -> None:
    assert whole(body.inverted(pieces)) == bytes(byte ^ 0xFF for byte in b"".join(pieces))


@given(PIECES, st.integers(0, 30))
def test_shortened_and_lengthened(pieces: list[bytes], by: int) -> None:
    data = b"".join(pieces)
    assert whole(body.shortened(pieces, by)) == data[: max(0, len(data) - by)]
    assert whole(body.lengthened(pieces, by)) == data + bytes(by)


@given(PIECES, st.integers(1, 30))
def test_interrupted_calls_once_after_the_bytes(pieces: list[bytes], after: int) -> None:
    taken = bytearray()
    at: list[int] = []
    for piece in body.interrupted(pieces, after, lambda: at.append(len(taken))):
        taken.extend(piece)
    data = b"".join(pieces)
    assert (bytes(taken), at) == (data, [min(after, len(data))])
