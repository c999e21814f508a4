"""The file of a prune plan: compressed lines of JSON, a header and one line for each deletion.

``zcat FILE`` shows it::

    {"format":"rwm-prune-plan-1","bucket":…,"prefix":…,"made_at":…,"cutoff":…,"kept_states":[…],"lost_states":[…],
     "other_states":[…],"versions":…,"markers":…,"bytes":…,"overridden":[…],"sha256":…}
    {"key":…,"version_id":…,"kind":"version"|"marker","size":…,"why":…,"last_modified":…,"noncurrent_at":…,"stage":…}

``other_states`` were recorded too when the plan was made, and lose nothing to it. ``sha256`` is the hash of the header
without it and of the hash of all lines. Times in the header are ISO 8601 in UTC, in lines milliseconds since 1970.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from rwm.errors import Refused, RwmError, UsageError
from rwm.location import Location
from rwm.prune.deletion_lines import compress, decode
from rwm.prune.deletion_spool import DeletionSpool
from rwm.prune.plan import PrunePlan
from rwm.prune.spool_file import SpoolFile
from rwm.shell import quote
from rwm.times import iso, parse_time

FORMAT = "rwm-prune-plan-1"
MAX_HEADER = 1 << 26
"""Bytes of the longest header: ids of a million states."""

_CHUNK = 1 << 20
_GZIP = zlib.MAX_WBITS + 16


class StoredPlan(NamedTuple):
    """A plan that was read from its file. Times in milliseconds, states by their ids."""

    location: Location
    made_at: int
    cutoff: int
    kept_states: tuple[str, ...]
    lost_states: tuple[str, ...]
    other_states: tuple[str, ...]
    deletions: DeletionSpool


def write_plan(plan: PrunePlan, recorded: Sequence[str], file: IO[bytes], *, force: bool) -> None:
    """Write a plan to an empty file. ``recorded`` are the ids of all states that overlap its location."""
    kept = [info.id for info in plan.kept_states]
    lost = [info.id for info in plan.lost_states]
    header: dict[str, Any] = {
        "format": FORMAT,
        "bucket": plan.location.bucket,
        "prefix": plan.location.prefix,
        "made_at": iso(plan.made_at),
        "cutoff": iso(plan.cutoff),
        "kept_states": kept,
        "lost_states": lost,
        "other_states": sorted({*recorded} - {*kept, *lost}),
        "versions": len(plan.versions),
        "markers": len(plan.markers),
        "bytes": plan.bytes,
        "overridden": list(plan.findings) if force else [],
    }
    header["sha256"] = _seal(header, plan.deletions.sha256)
    file.write(compress(_line(header) + b"\n"))
    for chunk in plan.deletions.file.chunks():
        file.write(chunk)


def read_plan(path: Path, location: Location) -> StoredPlan:
    """Open the file of a plan of a location. It must not change while the result is in use.

    Raises Refused for a file that was altered, is no plan or one of another location, RwmError if it cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a FIFO would wait for a writer
    except OSError as error:
        raise RwmError(f"{path}: {error.strerror}", hint="name a file that rwm prune --plan-out has written") from error
    spool = DeletionSpool(SpoolFile(descriptor))  # closes the file
    try:
        stored = _read(descriptor, spool)
    except (ValueError, KeyError, TypeError, AttributeError, zlib.error, RecursionError, UsageError) as error:
        raise Refused(
            f"{path} is not a plan as rwm prune --plan-out has written it: {error}",
            hint="nothing was deleted; make a new plan",
        ) from error
    except OSError as error:
        raise RwmError(f"{path}: {error.strerror}") from error
    if stored.location != location:
        hint = f"nothing was deleted; `rwm prune {quote(stored.location)} --plan {quote(path)}` executes it"
        raise Refused(f"{path} is a plan of {stored.location}, not of {location}", hint=hint)
    return stored


def _read(descriptor: int, spool: DeletionSpool) -> StoredPlan:
    members = _members(descriptor)
    first = next(members, None)
    if first is None:
        raise ValueError("it is empty")
    header = json.loads(first[2])
    if header["format"] != FORMAT:
        raise ValueError(f"its format is not {FORMAT}")
    digest = hashlib.sha256()
    for offset, length, data in members:
        digest.update(data)
        stage, _ = decode(data[: data.index(b"\n")])
        spool.add_block(stage, offset, length, data.count(b"\n"))
    sealed = header.pop("sha256")
    if sealed != _seal(header, digest.hexdigest()):
        raise ValueError("it was altered")
    return StoredPlan(
        Location(header["bucket"], header["prefix"]),
        parse_time(header["made_at"]),
        parse_time(header["cutoff"]),
        tuple(map(str, header["kept_states"])),
        tuple(map(str, header["lost_states"])),
        tuple(map(str, header["other_states"])),
        spool,
    )


def _members(descriptor: int) -> Iterator[tuple[int, int, bytes]]:
    """(offset, length, content) of each member of a gzip file. Raises ValueError if it is too long or cut off."""
    position = start = 0
    data = b""
    unpacker, content = zlib.decompressobj(_GZIP), b""
    while data or (data := os.pread(descriptor, _CHUNK, position)):
        content += unpacker.decompress(data, MAX_HEADER)
        if unpacker.unconsumed_tail or len(content) > MAX_HEADER:
            raise ValueError("a block is too long")
        position += len(data) - len(unpacker.unused_data)
        data = unpacker.unused_data
        if unpacker.eof:
            yield start, position - start, content
            start = position
            unpacker, content = zlib.decompressobj(_GZIP), b""
    if position != start:
        raise ValueError("it is cut off")


def _seal(header: dict[str, Any], lines: str) -> str:
    return hashlib.sha256(_line(header) + lines.encode()).hexdigest()


def _line(header: dict[str, Any]) -> bytes:
    return json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
