"""Read state files, of RWM and of the original tool, as streams. Pure.

Memory does not grow with the file. Every fault raises a BadState that says where it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import IO, Any, get_args

from rwm.errors import BadState, UsageError
from rwm.location import parse_prefix
from rwm.model import Change, Entry, Origin, Outcome, StateInfo
from rwm.statefile import canonical, delta
from rwm.statefile.decompress import CutOff, pieces
from rwm.statefile.lines import (
    Lines,
    check_canonical,
    id_in,
    number_in,
    read_change,
    read_entry,
    records,
    text_in,
    time_in,
)
from rwm.statefile.original import OriginalState
from rwm.times import SECOND

_ORIGINS: tuple[str, ...] = get_args(Origin)
_OUTCOMES: tuple[str | None, ...] = (None, *get_args(Outcome))
_FORMAT_FIELD = b'{"format":'
_NO_HEADER = "the file is cut off before the end of its header"


class FullState:
    """A full state file. ``info.id`` is empty until all entries are read."""

    def __init__(self, info: StateInfo, lines: Lines) -> None:
        self.info = info
        self._lines = lines

    @property
    def id(self) -> str:
        """The state id, the hash of the content; empty until all entries are read."""
        return self.info.id

    def entries(self) -> Iterator[Entry]:
        """The entries, sorted by key; can be read once.

        Raises BadState at the first fault; the entries before it must be discarded then.
        """
        size = 0
        for entry in records(self._lines, self.info.objects, "entries", read_entry, self.info.prefix):
            size += entry.size
            yield entry
        if size != self.info.bytes:
            raise BadState(f"the header says {self.info.bytes} bytes, the entries have {size}")
        self.info = replace(self.info, id=self._lines.digest.hexdigest())


@dataclass(frozen=True)
class DeltaState:
    """A delta file: ``count`` changes from the state ``base``. ``info.id`` is the claimed id of the resulting state."""

    info: StateInfo
    base: str
    count: int
    _lines: Lines

    def changes(self) -> Iterator[Change]:
        """The changes, sorted by key; can be read once. Raises BadState at the first fault."""
        return records(self._lines, self.count, "changes", read_change, self.info.prefix)


def open_state_file(file: IO[bytes], name: str = "") -> FullState | DeltaState | OriginalState:
    """Read the header of a state file, compressed or not; its entries are read later, on demand.

    ``name`` is the key or the path of the file (see ``rwm.statefile.original``). Raises BadState for any other file.
    """
    head, rest = _peek(file)
    if head.startswith(_FORMAT_FIELD):
        return _open(chain([head], rest))
    if fault := _why_not_json(head):
        raise BadState(fault)
    return OriginalState(chain([head], rest), name)


def _peek(file: IO[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The start of the file, enough to recognise its format, and the rest."""
    content = pieces(file)
    head = b""
    try:
        for piece in content:
            head += piece
            if len(head) >= len(_FORMAT_FIELD):
                break
    except CutOff as error:
        raise BadState(_NO_HEADER) from error
    return head, content


def _why_not_json(head: bytes) -> str:
    """Why a file with this start cannot be a JSON object; "" if it can."""
    if not head:
        return "the file is empty"
    return "" if head.lstrip().startswith(b"{") else "neither JSON nor gzip, as state files are"


def _open(content: Iterable[bytes]) -> FullState | DeltaState:
    lines = Lines(content)
    try:
        line = next(lines, None)
    except CutOff:
        line = None
    if line is None:
        raise BadState(_NO_HEADER)
    return _header(lines, line)


def _header(lines: Lines, line: str) -> FullState | DeltaState:
    value = lines.value(line)
    form = value.get("format")
    if form not in (canonical.FORMAT, delta.FORMAT):
        raise BadState(f"format {str(form)[:40]!r} is not known: written by a newer version of RWM, or not by RWM")
    info = _info(lines, value)
    if form == canonical.FORMAT:
        check_canonical(lines, line, canonical.header_text(info))
        return FullState(info, lines)
    state_id, base = id_in(lines, value, "id"), id_in(lines, value, "base")
    if state_id == base:
        raise lines.fault("a delta that is based on itself")
    count = number_in(lines, value, "changes")
    info = replace(info, id=state_id)
    check_canonical(lines, line, delta.delta_header_text(info, base, count))
    return DeltaState(info, base, count, lines)


def _info(lines: Lines, value: dict[str, Any]) -> StateInfo:
    origin, outcome = value.get("origin"), value.get("outcome")
    captured_at = time_in(lines, value, "captured_at")
    if origin not in _ORIGINS:
        raise lines.fault("origin is not known")
    if outcome not in _OUTCOMES:
        raise lines.fault("outcome is not known")
    if captured_at % SECOND:
        raise lines.fault("captured_at is not a whole second")
    objects, size = number_in(lines, value, "objects"), number_in(lines, value, "bytes")
    bucket, prefix = text_in(lines, value, "bucket"), _prefix(lines, value)
    return StateInfo("", bucket, captured_at, origin, objects, size, outcome, prefix)


def _prefix(lines: Lines, value: dict[str, Any]) -> str:
    """The prefix of the state, which is left out for a whole bucket."""
    if "prefix" not in value:
        return ""
    text = text_in(lines, value, "prefix")
    try:
        prefix = parse_prefix(text)
    except UsageError as error:
        raise lines.fault("prefix is not a prefix") from error
    if prefix != text:
        raise lines.fault("prefix is not in the canonical form")
    return prefix
