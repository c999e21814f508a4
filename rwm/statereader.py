"""Reading state files, of RWM and of the original tool, as strictly as one id with one meaning needs. Pure.

A line is right when it is, byte for byte, the line that would be written for what it says. So whatever JSON allows
besides (spaces, other orders, fields twice, other numbers for the same) is refused without a rule of its own. A file
is read once, from start to end, in memory that does not grow with it. Every fault is a BadState that says where.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from itertools import chain
from typing import IO, Any, TypeVar, get_args

from rwm import delta, statefile
from rwm.errors import BadState
from rwm.model import OWN_PREFIX, Change, Entry, Origin, Outcome, StateInfo
from rwm.original import OriginalState, read_pieces
from rwm.times import DAY, SECOND
from rwm.unpack import CutOff, pieces

LINE_MAX = 64 << 10
"""Bytes a line may have. S3 has keys of up to 1024, which JSON makes six times as long at most."""

_EPOCH = date(1970, 1, 1).toordinal()
_MINUTES = {f"T{minute // 60:02d}:{minute % 60:02d}:": minute * 60 * SECOND for minute in range(24 * 60)}
_ID = re.compile(r"[0-9a-f]{64}", re.ASCII)
_ORIGINS: tuple[str, ...] = get_args(Origin)
_OUTCOMES: tuple[str | None, ...] = (None, *get_args(Outcome))
_OURS = b'{"format":'
_NO_HEADER = "the file is cut off before the end of its header"

Record = TypeVar("Record", Entry, Change)


class FullState:
    """A state file that holds all of the state. ``info.id`` is empty until the entries are read to their end."""

    def __init__(self, info: StateInfo, lines: _Lines) -> None:
        self.info = info
        self._lines = lines

    @property
    def id(self) -> str:
        """The state id: the hash of what was read. Empty before the end."""
        return self.info.id

    def entries(self) -> Iterator[Entry]:
        """The entries, sorted by key; can be asked for once. Raises BadState at the first fault.

        What was given before is to be forgotten then.
        """
        size = 0
        for entry in _records(self._lines, self.info.objects, "entries", _entry):
            size += entry.size
            yield entry
        if size != self.info.bytes:
            raise BadState(f"the header says {self.info.bytes} bytes, the entries have {size}")
        self.info = replace(self.info, id=self._lines.digest.hexdigest())


@dataclass(frozen=True)
class DeltaState:
    """A state file that holds what differs from the state ``base``. ``info.id`` is what the file claims to make."""

    info: StateInfo
    base: str
    count: int
    _lines: _Lines

    def changes(self) -> Iterator[Change]:
        """The changes, sorted by key; can be asked for once. Raises BadState at the first fault."""
        return _records(self._lines, self.count, "changes", _change)


def open_state(file: IO[bytes]) -> FullState | DeltaState:
    """Read the header of a state file, compressed or not; the entries are read when they are asked for.

    Raises BadState for anything else, a file of the original tool too.
    """
    head, rest = _peeked(file)
    if not head.startswith(_OURS):
        raise BadState(_not_json(head) or "not a state file of RWM; one of the original tool, perhaps")
    return _opened(chain([head], rest))


def open_any(file: IO[bytes], name: str = "") -> FullState | DeltaState | OriginalState:
    """As :func:`open_state`, and files of the original tool too, which are read as a whole.

    ``name`` is the key or the path of the file (see ``rwm.original``).
    """
    head, rest = _peeked(file)
    if head.startswith(_OURS):
        return _opened(chain([head], rest))
    if fault := _not_json(head):
        raise BadState(fault)
    return read_pieces(chain([head], rest), name)


def _peeked(file: IO[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """Enough of the file to tell what it is, and the rest of it."""
    content = pieces(file)
    head = b""
    try:
        for piece in content:
            head += piece
            if len(head) >= len(_OURS):
                break
    except CutOff as error:
        raise BadState(_NO_HEADER) from error
    return head, content


def _not_json(head: bytes) -> str:
    """What is wrong with a file that begins so, or "" where it may be a JSON object."""
    if not head:
        return "the file is empty"
    return "" if head.lstrip().startswith(b"{") else "not gzip and not JSON"


def _opened(content: Iterable[bytes]) -> FullState | DeltaState:
    lines = _Lines(content)
    try:
        line = next(lines, None)
    except CutOff:
        line = None
    if line is None:
        raise BadState(_NO_HEADER)
    return _header(lines, line)


# --- lines -------------------------------------------------------------------------------------------


class _Lines(Iterator[str]):
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
                yield rest  # which is refused
        if rest:
            raise CutOff("the file is cut off")

    def fault(self, text: str) -> BadState:
        """An error in the line that was read last."""
        return BadState(f"line {self.number}: {text}")

    def value(self, line: str) -> dict[str, Any]:
        """What a line says. Raises BadState if it is no JSON object."""
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise self.fault("not JSON") from error
        if type(value) is not dict:
            raise self.fault("not a JSON object")
        return value


def _records(lines: _Lines, count: int, what: str, read: Callable[[_Lines, str], Record]) -> Iterator[Record]:
    """The ``count`` records of a file, sorted by key, and nothing after them."""
    done, last = 0, ""
    try:
        for line in lines:
            if done == count:
                raise lines.fault(f"the header says {count} {what}, and there are more")
            record = read(lines, line)
            key = record[0]
            if key <= last:
                raise lines.fault("keys are not sorted" if key < last else "a key is there twice")
            done, last = done + 1, key
            yield record
    except CutOff as error:
        raise BadState(f"the file is cut off: {done} of {count} {what}") from error
    if done < count:
        raise BadState(f"the file is cut off: {done} of {count} {what}")


# --- what a line says --------------------------------------------------------------------------------


def _entry(lines: _Lines, line: str) -> Entry:
    return _as_entry(lines, lines.value(line), line)


def _as_entry(lines: _Lines, value: dict[str, Any], line: str) -> Entry:
    size = value.get("size")
    if type(size) is not int or not 0 <= size < statefile.NUMBERS:
        raise lines.fault("size is no size")
    entry = Entry(
        _key(lines, value),
        _text(lines, value, "version_id"),
        size,
        _text(lines, value, "etag", empty=True),
        _time(lines, value, "last_modified"),
    )
    _same(lines, line, statefile.entry_text(entry))
    return entry


def _change(lines: _Lines, line: str) -> Change:
    value = lines.value(line)
    if "removed" not in value:
        entry = _as_entry(lines, value, line)
        return Change(entry.key, entry)
    change = Change(_key(lines, value), None)
    _same(lines, line, delta.change_text(change))
    return change


def _header(lines: _Lines, line: str) -> FullState | DeltaState:
    value = lines.value(line)
    form = value.get("format")
    if form not in (statefile.FORMAT, delta.FORMAT):
        raise BadState(f"format {str(form)[:40]!r} is not known: written by a newer version of RWM, or not by RWM")
    info = _info(lines, value)
    if form == statefile.FORMAT:
        _same(lines, line, statefile.header_text(info))
        return FullState(info, lines)
    state_id, base = _id(lines, value, "id"), _id(lines, value, "base")
    if state_id == base:
        raise lines.fault("a delta that is based on itself")
    count = _number(lines, value, "changes")
    info = replace(info, id=state_id)
    _same(lines, line, delta.delta_header_text(info, base, count))
    return DeltaState(info, base, count, lines)


def _info(lines: _Lines, value: dict[str, Any]) -> StateInfo:
    origin, outcome = value.get("origin"), value.get("outcome")
    captured_at = _time(lines, value, "captured_at")
    if origin not in _ORIGINS:
        raise lines.fault("origin is not known")
    if outcome not in _OUTCOMES:
        raise lines.fault("outcome is not known")
    if captured_at % SECOND:
        raise lines.fault("captured_at is no whole second")
    objects, size = _number(lines, value, "objects"), _number(lines, value, "bytes")
    return StateInfo("", _text(lines, value, "bucket"), captured_at, origin, objects, size, outcome)


def _same(lines: _Lines, line: str, canonical: str) -> None:
    if line + "\n" != canonical:
        raise lines.fault("not in the canonical form")


# --- fields ------------------------------------------------------------------------------------------


def _key(lines: _Lines, value: dict[str, Any]) -> str:
    key = _text(lines, value, "key")
    if key.startswith(OWN_PREFIX):
        raise lines.fault(f"a key below {OWN_PREFIX}")
    return key


def _text(lines: _Lines, value: dict[str, Any], name: str, *, empty: bool = False) -> str:
    text = value.get(name)
    if type(text) is not str:
        raise lines.fault(f"{name} is no text")
    if not (text or empty):
        raise lines.fault(f"{name} is empty")
    return text


def _number(lines: _Lines, value: dict[str, Any], name: str) -> int:
    number = value.get(name)
    if type(number) is not int or not 0 <= number < statefile.NUMBERS:
        raise lines.fault(f"{name} is no count")
    return number


def _id(lines: _Lines, value: dict[str, Any], name: str) -> str:
    text = _text(lines, value, name)
    if not _ID.fullmatch(text):
        raise lines.fault(f"{name} is no state id")
    return text


def _time(lines: _Lines, value: dict[str, Any], name: str) -> int:
    """A time as ``iso`` writes it. A text that is no such time may pass, for it is not canonical then."""
    text = _text(lines, value, name)
    try:
        time = _day(text[:10]) + _MINUTES[text[10:17]] + int(text[17:19]) * SECOND
        if text[19:] != "Z":
            time += int(text[20:23])
    except (KeyError, ValueError) as error:
        raise lines.fault(f"{name} is no time") from error
    if not 0 <= time < statefile.TIMES:
        raise lines.fault(f"{name} is not between 1970 and 6000")
    return time


@lru_cache(maxsize=1 << 14)
def _day(text: str) -> int:
    """The beginning of a day, in milliseconds."""
    return (date.fromisoformat(text).toordinal() - _EPOCH) * DAY
