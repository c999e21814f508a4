"""Hexadecimal text as bytes: names of packs, ETags and many version ids take half the space. Pure.

SQLite sorts all TEXT before all BLOBs, and BLOBs in the order of their text. So a listing sorted by text merges two
ranges of one index.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from typing import cast

Packed = str | bytes

_HEX = re.compile(r"(?:[0-9a-f]{2}){8,}")
_MIN_DIGITS = 16  # digits
_HEX_PREFIX = re.compile(r"[0-9a-f]*")
_DIGITS = "0123456789abcdef"


def pack(text: str) -> Packed:
    """Bytes for an even number of at least 16 lower-case hexadecimal digits; any other text unchanged."""
    return bytes.fromhex(text) if _HEX.fullmatch(text) else text


def pack_all(column: Sequence[str]) -> Sequence[Packed]:
    """:func:`pack` of each."""
    lengths = set(map(len, column))
    if all(length < _MIN_DIGITS or length % 2 for length in lengths):
        return column
    if all(length >= _MIN_DIGITS and length % 2 == 0 for length in lengths) and _HEX_PREFIX.fullmatch("".join(column)):
        return list(map(bytes.fromhex, column))
    return list(map(pack, column))


def is_packed(value: object) -> bool:
    """Whether :func:`pack` gives this for any text."""
    if isinstance(value, bytes):
        return 2 * len(value) >= _MIN_DIGITS
    return isinstance(value, str) and pack(value) == value


def unpack(value: Packed) -> str:
    """The text that was packed."""
    return value if isinstance(value, str) else value.hex()


def unpack_all(column: Sequence[Packed]) -> Sequence[str]:
    """The texts that were packed."""
    kinds = set(map(type, column))
    if kinds == {str}:
        return cast("Sequence[str]", column)
    if kinds == {bytes}:
        return list(map(bytes.hex, cast("Sequence[bytes]", column)))
    return list(map(unpack, column))


def least_after(text: str) -> bytes | None:
    """The smallest packed value whose text sorts at or after ``text``; None if there is none."""
    match = _HEX_PREFIX.match(text)
    assert match
    prefix, rest = match.group(), text[match.end() :]
    if rest:
        position = bisect_right(_DIGITS, rest[0])  # of the first digit that sorts after the other character
        if position < len(_DIGITS):
            prefix += _DIGITS[position]
        else:
            prefix = prefix.rstrip("f")
            if not prefix:
                return None
            prefix = prefix[:-1] + _DIGITS[_DIGITS.index(prefix[-1]) + 1]
    return bytes.fromhex(prefix + "0" * (len(prefix) % 2))
