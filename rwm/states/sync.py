"""Sync: import the state files of a bucket into the index, and compare their states with the bucket's history.

The machine's account may write below ``rwm/`` too. So the first version of a file takes precedence, its content must
have the id in its name, and a state is verified only if the history confirms each of its entries.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, NamedTuple

from rwm.errors import AccessDenied, BadState, NotFound, RwmError, S3Error, SpoolFull, Unreachable
from rwm.index import RECORDED_AS, Index
from rwm.layout import OWN_PREFIX, STATES_PREFIX
from rwm.location import Location
from rwm.model import StateInfo
from rwm.s3 import S3
from rwm.s3.listing import group_by_key, list_histories
from rwm.statefile import FileName, is_original_key, parse_file_key
from rwm.states.comparison import Comparison, ComparisonResult
from rwm.states.importing import ImportSource, StateImporter
from rwm.times import SECOND

_SPOOL_MEMORY = 1 << 20  # bytes; larger files are spooled to disk
_MAX_VERSIONS = 8  # of one key, oldest first

Progress = Callable[[int], None]


class StateFile(NamedTuple):
    """A version of a state file in the bucket. ``uploaded`` in milliseconds; the original tool's have no ``name``."""

    key: str
    version_id: str
    size: int
    uploaded: int
    name: FileName | None

    @property
    def ledger_key(self) -> str:
        """Its name in the index's ledger."""
        return f"{self.key}@{self.version_id}"


class _DiskFull(RwmError):
    """A file is larger than the free space of the temporary directory."""


class SkippedFile(NamedTuple):
    """A file whose state was not recorded, and why."""

    key: str
    version_id: str
    why: str


@dataclass
class SyncResult:
    """The outcome for new files. ``rejected`` files are not states of the bucket; ``unread`` ones could not be read."""

    recorded: list[StateInfo] = field(default_factory=list)
    rejected: list[SkippedFile] = field(default_factory=list)
    unread: list[SkippedFile] = field(default_factory=list)


def list_state_files(s3: S3, location: Location) -> list[StateFile]:
    """The first versions of each key that has the name of a state file, including deleted and overwritten ones.

    Later versions are used only if the first one's content does not have the id in its name: somebody may have written
    another file under that name first. Sorted by the time of the state, so that a delta comes after its base.
    """
    found = []
    for history in group_by_key(s3.versions(location.bucket, location.key(OWN_PREFIX))):
        written = [version for version in history if not version.is_marker]
        key = history[0].key
        if written and (key.startswith(STATES_PREFIX) or is_original_key(key)):
            name = parse_file_key(key)
            found += [
                StateFile(key, version.version_id, version.size, version.last_modified, name)
                for version in written[: -1 - (_MAX_VERSIONS if name else 1) : -1]
            ]
    return sorted(found, key=lambda file: (file.name.captured_at if file.name else 0, file.uploaded, file.key))


def new_state_files(index: Index, location: Location, files: Sequence[StateFile]) -> list[StateFile]:
    """The files whose state is not recorded and that sync does not ignore."""
    known = {info.id for info in index.states(location)} | index.ledger.ignored(location.bucket).keys()
    return [file for file in files if file.ledger_key not in known and not (file.name and file.name.id in known)]


def sync_states(
    s3: S3,
    index: Index,
    location: Location,
    files: Sequence[StateFile],
    new: Sequence[StateFile],
    progress: Progress = lambda count: None,
) -> SyncResult:
    """Record the states of the ``new`` files, one by one. A file that is not a state is rejected and then ignored.

    ``files`` are all state files of the bucket, because the base of a new one may not be recorded. A file that the
    server denies, or that does not fit on the disk, is skipped this time: an attacker can write such files, and they
    must not block the others. Raises AccessDenied if no file can be read, Unreachable, and errors of the index; states
    recorded before remain.
    """
    bucket = location.bucket
    result, denied = SyncResult(), 0
    done: set[str] = set()
    with StateImporter(index, bucket, _sources_by_id(s3, index, bucket, files).get) as importer:
        for file in new:
            progress(1)
            if file.name and file.name.id in done:
                continue
            try:
                if not file.name and not is_original_key(file.key):
                    raise BadState("its name is not that of a state file")
                info, is_new = importer.import_state(_source(s3, bucket, file))
            except (BadState, NotFound) as error:
                index.ledger.ignore(bucket, file.ledger_key, error.message)
                result.rejected.append(SkippedFile(file.key, file.version_id, error.message))
            except Unreachable:
                raise
            except (S3Error, _DiskFull, SpoolFull) as error:
                result.unread.append(SkippedFile(file.key, file.version_id, error.message))
                denied += isinstance(error, AccessDenied)
                if denied == len(files):
                    hint = "the machine's account may not read versions by their id: use the admin's keys"
                    raise AccessDenied(error.message, hint=hint) from error
            else:
                if not file.name:  # its id is not in its name
                    index.ledger.ignore(bucket, file.ledger_key, RECORDED_AS + info.id)
                done.add(info.id)
                if is_new:
                    result.recorded.append(info)
    return result


def _sources_by_id(s3: S3, index: Index, bucket: str, files: Sequence[StateFile]) -> dict[str, ImportSource]:
    """The file of each state, by state id: the first version that was not rejected, a full one if there is any."""
    rejected = index.ledger.ignored(bucket).keys()
    found: dict[str, StateFile] = {}
    for file in files:
        if file.name and file.ledger_key not in rejected:
            other = found.get(file.name.id)
            if other is None or (other.name and other.name.is_delta and not file.name.is_delta):
                found[file.name.id] = file
    return {state_id: _source(s3, bucket, file) for state_id, file in found.items()}


def _source(s3: S3, bucket: str, file: StateFile) -> ImportSource:
    @contextmanager
    def download() -> Iterator[IO[bytes]]:
        with tempfile.SpooledTemporaryFile(max_size=_SPOOL_MEMORY) as copy:
            if file.size > shutil.disk_usage(tempfile.gettempdir()).free:
                raise _DiskFull(f"its {file.size} bytes are more than the free space of {tempfile.gettempdir()}")
            for chunk in s3.stream(bucket, file.key, file.version_id):
                copy.write(chunk)
            copy.seek(0)
            yield copy

    return ImportSource(file.key, download, file.name, file.size, is_stored=True)


def compare_with_history(
    s3: S3,
    index: Index,
    location: Location,
    files: Sequence[StateFile],
    progress: Progress = lambda count: None,
    *,
    always: bool = False,
) -> list[ComparisonResult]:
    """Compare all unchecked states with the bucket's history, in one listing, and record the verdicts.

    The storage classes that the listing shows are recorded too; ``always`` lists for them alone.
    """
    bucket = location.bucket
    recorded = index.recorded(location)
    states = [state.info for state in recorded]
    wanted = [state.info.id for state in recorded if state.trust == "unchecked"]
    if not wanted and not (always and states):
        return []
    now = s3.server_time(bucket)
    comparison = Comparison(states, wanted, _upload_times(index, bucket, files))
    references = index.references(location, states)
    classes = index.class_table()
    try:
        for part in list_histories(s3, location):
            for history in part:
                comparison.compare_key(history, references.of(history[0].key))
                classes.add_versions(history)
                progress(len(history))
        results = comparison.results()
        index.ledger.set_trust({result.info.id: result.verdict for result in results}, now)
        index.record_classes(location, classes, now)
    finally:
        classes.close()
    return results


def _upload_times(index: Index, bucket: str, files: Sequence[StateFile]) -> dict[str, int]:
    """When the file of each state was written, in milliseconds by state id."""
    ignored = index.ledger.ignored(bucket)
    times: dict[str, int] = {}
    for file in files:
        why = ignored.get(file.ledger_key, "")
        if why.startswith(RECORDED_AS):
            times[why.removeprefix(RECORDED_AS)] = file.uploaded
        elif file.name and not why:
            before = times.get(file.name.id)
            # A file written before the state's second cannot be a copy of it: somebody guessed the name.
            if before is None or before + SECOND < file.name.captured_at:
                times[file.name.id] = file.uploaded
            elif file.uploaded + SECOND >= file.name.captured_at:
                times[file.name.id] = min(file.uploaded, before)
    return times
