"""Strict parsing of the lines of state files, so that one id has one meaning. Pure.

A line is accepted only if writing its content gives the same bytes. This refuses other forms that JSON allows (spaces,
another order, repeated fields, other spellings of a number) without a rule for each.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from functools import lru_cache
from typing import Any, TypeVar

from rwm.errors import BadState
from rwm.layout import OWN_PREFIX
from rwm.model import Change, Entry
from rwm.statefile import canonical, delta
from rwm.statefile.decompress import CutOff
from rwm.times import DAY, SECOND

LINE_MAX = 64 << 10
"""Maximum length of a line in bytes. A key in S3 has up to 1,024 bytes, and up to six times as many in JSON."""

_EPOCH = date(1970, 1, 1).toordinal()
_MINUTES = {f"T{minute // 60:02d}:{minute % 60:02d}:": minute * 60 * SECOND for minute in range(24 * 60)}
_ID = re.compile(r"[0-9a-f]{64}", re.ASCII)

Record = TypeVar("Record", Entry, Change)


class Lines(Iterator[str]):
    """The lines of a file, without their line feeds; ``digest`` is the hash of what was read."""

    def __init__(self, content: Iterable[bytes]) -> None:
        self.number = 0
        self.digest = hashlib.sha256()
        self._lines = self._split(content)

    def __next__(self) -> str:
        line = next(self._lines)
        self.number += 1
        if len(line) > LINE_MAX:
            raise self.fault(f"longer than {LINE_MAX} bytes")
        try:
            return line.decode()
        except UnicodeDecodeError as error:
            raise self.fault("not UTF-8") from error

    def _split(self, content: Iterable[bytes]) -> Iterator[bytes]:
        rest = b""
        for piece in content:
            self.digest.update(piece)
            lines = (rest + piece).split(b"\n")
            rest = lines.pop()
            yield from lines
            if len(rest) > LINE_MAX:
                yield rest  # refused by __next__
        if rest:
            raise CutOff("the file is cut off")

    def fault(self, text: str) -> BadState:
        """An error in the last line read."""
        return BadState(f"line {self.number}: {text}")

    def value(self, line: str) -> dict[str, Any]:
        """The content of a line. Raises BadState unless it is a JSON object."""
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise self.fault("not JSON") from error
        if type(value) is not dict:
            raise self.fault("not a JSON object")
        return value


def records(lines: Lines, count: int, what: str, read: Callable[[Lines, str], Record], prefix: str) -> Iterator[Record]:
    """The ``count`` records of a file, sorted by key, all below ``prefix``.

    Raises BadState for another number, order, key or content.
    """
    done, last = 0, ""
    try:
        for line in lines:
            if done == count:
                raise lines.fault(f"the header says {count} {what}, but there are more")
            record = read(lines, line)
            key = record[0]
            if key <= last:
                raise lines.fault("keys are not sorted" if key < last else "a key is repeated")
            if not key.startswith(prefix):
                raise lines.fault(f"a key that is not below {prefix}")
            done, last = done + 1, key
            yield record
    except CutOff as error:
        raise BadState(f"the file is cut off: {done} of {count} {what}") from error
    if done < count:
        raise BadState(f"the file is cut off: {done} of {count} {what}")


# --- records -----------------------------------------------------------------------------------------


def read_entry(lines: Lines, line: str) -> Entry:
    """The entry in a line of a state file. Raises BadState."""
    return _as_entry(lines, lines.value(line), line)


def _as_entry(lines: Lines, value: dict[str, Any], line: str) -> Entry:
    size = value.get("size")
    if type(size) is not int or not 0 <= size < canonical.INTEGER_LIMIT:
        raise lines.fault("size is not a size")
    entry = Entry(
        _key_in(lines, value),
        text_in(lines, value, "version_id"),
        size,
        text_in(lines, value, "etag", empty=True),
        time_in(lines, value, "last_modified"),
    )
    check_canonical(lines, line, canonical.entry_text(entry))
    return entry


def read_change(lines: Lines, line: str) -> Change:
    """The change in a line of a delta: an entry, or a key that was removed. Raises BadState."""
    value = lines.value(line)
    if "removed" not in value:
        entry = _as_entry(lines, value, line)
        return Change(entry.key, entry)
    change = Change(_key_in(lines, value), None)
    check_canonical(lines, line, delta.change_text(change))
    return change


def check_canonical(lines: Lines, line: str, canonical: str) -> None:
    """Raise BadState unless the line is what writing its content gives."""
    if line + "\n" != canonical:
        raise lines.fault("not in the canonical form")


# --- fields ------------------------------------------------------------------------------------------


def _key_in(lines: Lines, value: dict[str, Any]) -> str:
    key = text_in(lines, value, "key")
    if key.startswith(OWN_PREFIX):
        raise lines.fault(f"a key below {OWN_PREFIX}")
    return key


def text_in(lines: Lines, value: dict[str, Any], name: str, *, empty: bool = False) -> str:
    """A text, which may be empty only with ``empty``. Raises BadState."""
    text = value.get(name)
    if type(text) is not str:
        raise lines.fault(f"{name} is not text")
    if not (text or empty):
        raise lines.fault(f"{name} is empty")
    return text


def number_in(lines: Lines, value: dict[str, Any], name: str) -> int:
    """A count that is not negative. Raises BadState."""
    number = value.get(name)
    if type(number) is not int or not 0 <= number < canonical.INTEGER_LIMIT:
        raise lines.fault(f"{name} is not a count")
    return number


def id_in(lines: Lines, value: dict[str, Any], name: str) -> str:
    """The full id of a state. Raises BadState."""
    text = text_in(lines, value, name)
    if not _ID.fullmatch(text):
        raise lines.fault(f"{name} is not a state id")
    return text


def time_in(lines: Lines, value: dict[str, Any], name: str) -> int:
    """Milliseconds of a time as ``iso`` writes it. Raises BadState.

    Some other forms pass; the check of the whole line refuses them.
    """
    text = text_in(lines, value, name)
    try:
        time = _day(text[:10]) + _MINUTES[text[10:17]] + int(text[17:19]) * SECOND
        if text[19:] != "Z":
            time += int(text[20:23])
    except (KeyError, ValueError) as error:
        raise lines.fault(f"{name} is not a time") from error
    if not 0 <= time < canonical.TIME_LIMIT:
        raise lines.fault(f"{name} is not between 1970 and 6000")
    return time


@lru_cache(maxsize=1 << 14)
def _day(text: str) -> int:
    """The start of a day in milliseconds."""
    return (date.fromisoformat(text).toordinal() - _EPOCH) * DAY
