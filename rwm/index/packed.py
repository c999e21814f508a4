"""Hexadecimal text as bytes: names of packs, ETags and many version ids take half the room. Pure.

SQLite sorts all TEXT before all BLOBs, and packed values among themselves as their text sorts. So names that are
sorted by text are two ranges of one index, to be merged.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from typing import cast

Packed = str | bytes

_HEX = re.compile(r"(?:[0-9a-f]{2}){8,}")
_LEAST = 16  # digits
_DIGITS_ONLY = re.compile(r"[0-9a-f]*")
_PREFIX = re.compile(r"[0-9a-f]*")
_DIGITS = "0123456789abcdef"


def pack(text: str) -> Packed:
    """Bytes for lower-case hexadecimal of 16 digits and more, in pairs; any other text as it is."""
    return bytes.fromhex(text) if _HEX.fullmatch(text) else text


def pack_all(column: Sequence[str]) -> Sequence[Packed]:
    """:func:`pack` of each."""
    lengths = set(map(len, column))
    if all(length >= _LEAST and length % 2 == 0 for length in lengths) and _DIGITS_ONLY.fullmatch("".join(column)):
        return list(map(bytes.fromhex, column))
    return list(map(pack, column))


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
    """The least bytes whose text can sort after ``text``, or at it; None when none can."""
    match = _PREFIX.match(text)
    assert match
    prefix, rest = match.group(), text[match.end() :]
    if rest:
        place = bisect_right(_DIGITS, rest[0])  # the next digit has to be greater than what is no digit
        if place < len(_DIGITS):
            prefix += _DIGITS[place]
        else:
            prefix = prefix.rstrip("f")
            if not prefix:
                return None
            prefix = prefix[:-1] + _DIGITS[_DIGITS.index(prefix[-1]) + 1]
    return bytes.fromhex(prefix + "0" * (len(prefix) % 2))
