"""The file of an operation record: JSON Lines, a header and a line for each change. Pure.

In the bucket it is ``rwm/admin/operations/<time>-<kind>-<id>.jsonl.gz``, written when the operation begins (what is
planned, without ``ended_at``) and again when it has ended (what was done)::

    {"format":"rwm-operation-1","id":…,"kind":…,"bucket":…,"prefix":…,"at":…,"account":…,"note":…,"ended_at":…}
    {"did":"copied","key":…,"version_id":…,"source":…,"before":…}
    {"did":"marked","key":…,"version_id":…,"before":…}
    {"did":"unmarked","key":…,"version_id":…,"at":…}
    {"did":"deleted","key":…,"version_id":…,"at":…,"why":…}
    {"did":"locked","key":…,"at":…,"until":…,"why":…}
    {"did":"left","key":…,"version_id":…,"why":…}

Fields are in this order, and absent where they are empty. A file may be forged: reading is strict, in bounded memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import IO, Any, get_args

from rwm.errors import BadState, UsageError
from rwm.layout import OPERATIONS_PREFIX
from rwm.location import Location
from rwm.model import Deed, Operation, OperationChange
from rwm.statefile import Lines, check_canonical, line_text, number_in, pieces, text_in, time_in
from rwm.times import iso, parse_iso

FORMAT = "rwm-operation-1"

MAX_CHANGES = 50_000_000
"""Changes in one record that are read."""

_DEEDS = frozenset(get_args(Deed))
_TIMES = ("at", "until")
_BATCH = 1000  # lines encoded at once
_KIND = re.compile(r"[a-z][a-z-]{0,31}", re.ASCII)
_ID = re.compile(r"[0-9a-f]{16}", re.ASCII)
_KEY = re.compile(
    rf"{OPERATIONS_PREFIX}(?P<time>\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{{3}})?Z)"
    r"-(?P<kind>[a-z][a-z-]*)-(?P<id>[0-9a-f]{16})\.jsonl\.gz",
    re.ASCII,
)


def record_key(operation: Operation) -> str:
    """The key of the operation's record in its bucket."""
    return f"{OPERATIONS_PREFIX}{iso(operation.at)}-{operation.kind}-{operation.id}.jsonl.gz"


def parse_record_key(key: str) -> tuple[str, str] | None:
    """(kind, id) from the result of :func:`record_key`; None for any other key."""
    match = _KEY.fullmatch(key)
    return (match["kind"], match["id"]) if match else None


def record_time(key: str) -> int | None:
    """When the operation began by the key of its record, in milliseconds; None for any other key and for no time."""
    match = _KEY.fullmatch(key)
    try:
        return parse_iso(match["time"]) if match else None
    except ValueError:
        return None


def record_lines(operation: Operation, changes: Iterable[OperationChange]) -> Iterator[bytes]:
    """The file's content, uncompressed, in pieces of whole lines."""
    yield line_text(_header(operation)).encode()
    lines = map(change_text, changes)
    while piece := "".join(islice(lines, _BATCH)):
        yield piece.encode()


def change_text(change: OperationChange) -> str:
    """The line of one change, with its line feed."""
    fields: dict[str, Any] = {name: value for name, value in change._asdict().items() if value}
    for name in _TIMES:
        if name in fields:
            fields[name] = iso(fields[name])
    return line_text(fields)


def _header(operation: Operation) -> dict[str, object]:
    return {
        "format": FORMAT,
        "id": operation.id,
        "kind": operation.kind,
        "bucket": operation.location.bucket,
        **({"prefix": operation.location.prefix} if operation.location.prefix else {}),
        "at": iso(operation.at),
        "account": operation.account,
        "note": operation.note,
        "ended_at": None if operation.ended_at is None else iso(operation.ended_at),
    }


class OperationRecord:
    """A record that is read: its header at once, its changes on demand."""

    def __init__(self, operation: Operation, lines: Lines) -> None:
        self.operation = operation
        self._lines = lines

    def changes(self) -> Iterator[OperationChange]:
        """The changes, once. Raises BadState where the file is malformed."""
        for count, line in enumerate(self._lines):
            if count >= MAX_CHANGES:
                raise self._lines.fault(f"more than {MAX_CHANGES} changes")
            yield _read_change(self._lines, line)

    @property
    def sha256(self) -> str:
        """The hash of what was read so far, uncompressed: of the file after all changes."""
        return self._lines.digest.hexdigest()


def open_record(file: IO[bytes]) -> OperationRecord:
    """Read the header of a record, compressed or not. Raises BadState for a malformed one."""
    lines = Lines(pieces(file))
    line = next(lines, None)
    if line is None:
        raise BadState("the record is empty")
    value = lines.value(line)
    if value.get("format") != FORMAT:
        raise BadState(f"not a record of the format {FORMAT}")
    operation = Operation(
        _matching(lines, value, "id", _ID),
        _matching(lines, value, "kind", _KIND),
        _location(lines, value),
        time_in(lines, value, "at"),
        text_in(lines, value, "account", empty=True),
        text_in(lines, value, "note", empty=True),
        None if value.get("ended_at") is None else time_in(lines, value, "ended_at"),
    )
    check_canonical(lines, line, line_text(_header(operation)))
    return OperationRecord(operation, lines)


def _read_change(lines: Lines, line: str) -> OperationChange:
    value = lines.value(line)
    did: Any = value.get("did")
    if did not in _DEEDS:
        raise lines.fault("an unknown change")
    change = OperationChange(
        did,
        text_in(lines, value, "key"),
        _optional(lines, value, "version_id"),
        _optional(lines, value, "source"),
        _optional(lines, value, "before"),
        time_in(lines, value, "at") if "at" in value else 0,
        _optional(lines, value, "why"),
        number_in(lines, value, "size") if "size" in value else 0,
        _optional(lines, value, "storage_class"),
        time_in(lines, value, "until") if "until" in value else 0,
    )
    check_canonical(lines, line, change_text(change))
    return change


def _optional(lines: Lines, value: dict[str, Any], name: str) -> str:
    return text_in(lines, value, name) if name in value else ""


def _matching(lines: Lines, value: dict[str, Any], name: str, form: re.Pattern[str]) -> str:
    text = text_in(lines, value, name)
    if not form.fullmatch(text):
        raise lines.fault(f"{name} is malformed")
    return text


def _location(lines: Lines, value: dict[str, Any]) -> Location:
    bucket, prefix = text_in(lines, value, "bucket"), _optional(lines, value, "prefix")
    try:
        location = Location.parse(f"{bucket}/{prefix}" if prefix else bucket)
    except UsageError as error:
        raise lines.fault("the location is malformed") from error
    if location != Location(bucket, prefix):
        raise lines.fault("the location is malformed")
    return location
