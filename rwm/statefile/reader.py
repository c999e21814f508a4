"""Reading state files, of RWM and of the original tool, once and from start to end. Pure.

Memory does not grow with a file. Every fault is a BadState that says where.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import IO, Any, get_args

from rwm.errors import BadState
from rwm.model import Change, Entry, Origin, Outcome, StateInfo
from rwm.statefile import canonical, delta
from rwm.statefile.decompress import CutOff, pieces
from rwm.statefile.lines import Lines, id_in, number_in, read_change, read_entry, records, same, text_in, time_in
from rwm.statefile.original import OriginalState
from rwm.times import SECOND

_ORIGINS: tuple[str, ...] = get_args(Origin)
_OUTCOMES: tuple[str | None, ...] = (None, *get_args(Outcome))
_OURS = b'{"format":'
_NO_HEADER = "the file is cut off before the end of its header"


class FullState:
    """A state file that holds all of the state. ``info.id`` is empty until the entries are read to their end."""

    def __init__(self, info: StateInfo, lines: Lines) -> None:
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
        for entry in records(self._lines, self.info.objects, "entries", read_entry):
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
    _lines: Lines

    def changes(self) -> Iterator[Change]:
        """The changes, sorted by key; can be asked for once. Raises BadState at the first fault."""
        return records(self._lines, self.count, "changes", read_change)


def open_state(file: IO[bytes]) -> FullState | DeltaState:
    """Read the header of a state file, compressed or not; the entries are read when they are asked for.

    Raises BadState for anything else, a file of the original tool too.
    """
    head, rest = _peeked(file)
    if not head.startswith(_OURS):
        raise BadState(_not_json(head) or "not a state file of RWM; one of the original tool, perhaps")
    return _opened(chain([head], rest))


def open_state_file(file: IO[bytes], name: str = "") -> FullState | DeltaState | OriginalState:
    """As :func:`open_state`, and files of the original tool too.

    ``name`` is the key or the path of the file (see ``rwm.statefile.original``).
    """
    head, rest = _peeked(file)
    if head.startswith(_OURS):
        return _opened(chain([head], rest))
    if fault := _not_json(head):
        raise BadState(fault)
    return OriginalState(chain([head], rest), name)


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
        same(lines, line, canonical.header_text(info))
        return FullState(info, lines)
    state_id, base = id_in(lines, value, "id"), id_in(lines, value, "base")
    if state_id == base:
        raise lines.fault("a delta that is based on itself")
    count = number_in(lines, value, "changes")
    info = replace(info, id=state_id)
    same(lines, line, delta.delta_header_text(info, base, count))
    return DeltaState(info, base, count, lines)


def _info(lines: Lines, value: dict[str, Any]) -> StateInfo:
    origin, outcome = value.get("origin"), value.get("outcome")
    captured_at = time_in(lines, value, "captured_at")
    if origin not in _ORIGINS:
        raise lines.fault("origin is not known")
    if outcome not in _OUTCOMES:
        raise lines.fault("outcome is not known")
    if captured_at % SECOND:
        raise lines.fault("captured_at is no whole second")
    objects, size = number_in(lines, value, "objects"), number_in(lines, value, "bytes")
    return StateInfo("", text_in(lines, value, "bucket"), captured_at, origin, objects, size, outcome)
