"""The report of a prune in its bucket: what it kept and did, and why each version and marker was to be removed.

Two objects below ``rwm/admin/reports/``, where only the admin may write: ``TIME-prune-ID.json`` is a
:class:`rwm.model.PruneReport`, written when the prune begins and when it has ended. ``TIME-prune-ID.jsonl.gz`` has the
lines of the plan (:mod:`rwm.prune.stored_plan`), written before the first deletion. What was not deleted in spite
of the plan is in the operation record.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from rwm.errors import BadState, NotFound, RwmError
from rwm.layout import REPORTS_PREFIX
from rwm.location import Location
from rwm.model import PrunedState, PruneReport
from rwm.operations import list_records, open_stored, trusted_objects
from rwm.prune.deletion_lines import check_deletion, decode
from rwm.prune.deletion_spool import DeletionSpool
from rwm.prune.key_plan import Deletion
from rwm.prune.stages import Stage
from rwm.s3 import S3
from rwm.times import LAST_TIME, iso

MAX_REPORT = 1 << 26
"""Bytes of the longest report that is read: ids of a million states."""

_KEY = re.compile(rf"{REPORTS_PREFIX}[0-9TZ:.-]+-prune-([0-9a-f]{{16}})\.json", re.ASCII)
_GZIP = zlib.MAX_WBITS + 16
_CHUNK = 1 << 20
_MAX_LINE = 1 << 16


def report_key(report: PruneReport) -> str:
    """The key of a report; that of its lines ends in ``l.gz``."""
    return f"{REPORTS_PREFIX}{iso(report.at)}-prune-{report.id}.json"


def put_report(s3: S3, report: PruneReport) -> None:
    """Write a report to its bucket."""
    values = report._asdict() | {"location": [report.location.bucket, report.location.prefix]}
    s3.put(report.location.bucket, report_key(report), json.dumps(values, ensure_ascii=False).encode())


def put_lines(s3: S3, report: PruneReport, deletions: DeletionSpool) -> None:
    """Write what is to be deleted, as a compressed stream of lines. Raises SpoolFull and the errors of S3."""
    whole = deletions.copy_chosen()
    s3.upload(report.location.bucket, f"{report_key(report)}l.gz", whole.file.path)


def list_reports(s3: S3, location: Location, is_protected: Callable[[], bool]) -> Iterator[PruneReport | BadState]:
    """The reports in the bucket that can be trusted, of locations that overlap one; or why one cannot be read."""
    for found in trusted_objects(s3, location.bucket, REPORTS_PREFIX, is_protected):
        if match := _KEY.fullmatch(found.key):
            try:
                report = _read(s3, location.bucket, found.key, found.size)
            except (ValueError, KeyError, TypeError, RecursionError, RwmError) as error:
                why = error.why if isinstance(error, RwmError) else error
                yield BadState(f"report {found.key} cannot be read: {why}")
                continue
            if report.id == match[1] and report.location.overlaps(location):
                yield report


def _read(s3: S3, bucket: str, key: str, size: int) -> PruneReport:
    if size > MAX_REPORT:
        raise ValueError("it is too long")
    values: dict[str, Any] = json.loads(b"".join(s3.stream(bucket, key)))
    location = Location(*values["location"])
    if location.bucket != bucket:
        raise ValueError("it is of another bucket")
    lost = tuple(PrunedState(*state) for state in values["lost_states"])
    lists = {name: tuple(map(str, values[name])) for name in ("kept_states", "overridden")}
    report = PruneReport(**values | lists | {"location": location, "lost_states": lost})
    _check_values(report)
    return report


def _check_values(report: PruneReport) -> None:
    """Raise ValueError or TypeError unless texts are texts, numbers numbers, and times those of a calendar."""
    if not (isinstance(report.removed, dict) and isinstance(report.failures, dict)):
        raise TypeError("a field has no counts")
    states = [state.id for state in report.lost_states]
    texts = (report.id, report.location.bucket, report.location.prefix, *states, *report.removed, *report.failures)
    times = [report.at, report.cutoff, *([] if report.ended_at is None else [report.ended_at])]
    times += [time for state in report.lost_states for time in state[1:]]
    counts = (report.versions, report.markers, report.bytes, report.left, report.uploads)
    numbers = (*times, *counts, *report.removed.values(), *report.failures.values())
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("a field is no text")
    if not all(isinstance(number, int) and number >= 0 for number in numbers) or max(times) > LAST_TIME:
        raise ValueError("a field is no number, or out of range")


def removed(s3: S3, report: PruneReport) -> Iterator[tuple[Stage, Deletion]]:
    """What a prune removed; of one that was interrupted what it was to remove. Memory is that of what was left.

    Raises NotFound if its lines are not in the bucket, BadState if they are malformed.
    """
    left = _left(s3, report)
    for line in _lines(s3, report):
        try:
            stage, deletion = decode(line)
            check_deletion(deletion)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise BadState(f"{report_key(report)}l.gz is malformed: {error}") from error
        if (deletion.key, deletion.version_id) not in left:
            yield stage, deletion


def _left(s3: S3, report: PruneReport) -> set[tuple[str, str]]:
    bucket = report.location.bucket
    for record in list_records(s3, bucket):
        if record.id == report.id:
            with open_stored(s3, bucket, record) as opened:
                return {(change.key, change.version_id) for change in opened.changes() if change.did == "left"}
    return set()


def _lines(s3: S3, report: PruneReport) -> Iterator[bytes]:
    """The lines of a gzip stream of many members, in bounded memory."""
    key = f"{report_key(report)}l.gz"
    unpacker, rest = zlib.decompressobj(_GZIP), b""
    is_whole = True
    try:
        for data in s3.stream(report.location.bucket, key):
            while data:
                rest += unpacker.decompress(data, _CHUNK)
                *lines, rest = rest.split(b"\n")
                yield from lines
                if len(rest) > _MAX_LINE:
                    raise BadState(f"{key} is malformed: a line is too long")
                data = unpacker.unconsumed_tail or unpacker.unused_data
                is_whole = unpacker.eof
                if is_whole:
                    unpacker = zlib.decompressobj(_GZIP)
    except zlib.error as error:
        raise BadState(f"{key} is malformed: {error}") from error
    except NotFound as error:
        raise NotFound(
            f"the bucket has no list of what prune {report.id} removed",
            hint="a version of RWM that kept none ran it, or somebody removed it",
        ) from error
    if rest or not is_whole:
        raise BadState(f"{key} is cut off")
