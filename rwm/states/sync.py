"""Sync: the states that a bucket holds, brought into the index and compared with the bucket's own history.

The machine whose backups these are may write below ``rwm/`` too. So of each file only the first version counts, an id
has to be that of the content, and a state is verified only when each of its entries is what the history says.
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
from rwm.model import OWN_PREFIX, StateInfo
from rwm.s3 import S3
from rwm.s3.listing import group_by_key, list_histories
from rwm.statefile import STATES_PREFIX, FileName, is_original_key, parse_file_key
from rwm.states.comparison import Comparison, ComparisonResult
from rwm.states.importing import ImportSource, StateImporter
from rwm.times import SECOND

_SPOOL_MEMORY = 1 << 20
_VERSIONS = 8  # of one file that are looked at

Progress = Callable[[int], None]


class StateFile(NamedTuple):
    """A version of a key below ``rwm/``. ``uploaded`` in milliseconds; ``name`` is None for the original's."""

    key: str
    version_id: str
    size: int
    uploaded: int
    name: FileName | None

    @property
    def mark(self) -> str:
        """How the index remembers it."""
        return f"{self.key}@{self.version_id}"


class _NoRoom(RwmError):
    """A file is too large for this computer."""


class Rejected(NamedTuple):
    """A file that is no state of the bucket, or cannot be read, and why."""

    key: str
    version_id: str
    why: str


@dataclass
class SyncResult:
    """What came of the files that were new."""

    recorded: list[StateInfo] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    unread: list[Rejected] = field(default_factory=list)


def list_state_files(s3: S3, bucket: str) -> list[StateFile]:
    """The first versions of each key that is, or claims to be, a state file; deleted and overwritten ones too.

    The first one counts. Others are there for the case that it is not what the id in its name says: somebody may have
    known the name before. Sorted by the time of the state, so that a delta comes after what it builds upon.
    """
    found = []
    for history in group_by_key(s3.versions(bucket, OWN_PREFIX)):
        written = [version for version in history if not version.is_marker]
        key = history[0].key
        if written and (key.startswith(STATES_PREFIX) or is_original_key(key)):
            name = parse_file_key(key)
            found += [
                StateFile(key, version.version_id, version.size, version.last_modified, name)
                for version in written[: -1 - (_VERSIONS if name else 1) : -1]
            ]
    return sorted(found, key=lambda file: (file.name.captured_at if file.name else 0, file.uploaded, file.key))


def new_state_files(index: Index, bucket: str, files: Sequence[StateFile]) -> list[StateFile]:
    """Those that the index has nothing of, and has not looked at before."""
    known = {info.id for info in index.states(bucket)} | index.ledger.passed_over(bucket).keys()
    return [file for file in files if file.mark not in known and not (file.name and file.name.id in known)]


def sync_states(
    s3: S3,
    index: Index,
    bucket: str,
    files: Sequence[StateFile],
    new: Sequence[StateFile],
    progress: Progress = lambda count: None,
) -> SyncResult:
    """Record the states of the ``new`` files, one by one; what is not one is remembered, and rejected once.

    ``files`` are all of the bucket: what a new one builds upon may have been forgotten here. A file that the server
    does not give out, or that there is no room for, is passed over this time: whoever may write to the bucket can make
    such ones, and the others are wanted all the same. Raises AccessDenied when none can be read, Unreachable, and the
    errors of the index; what was recorded until then stays.
    """
    result, denied = SyncResult(), 0
    done: set[str] = set()
    with StateImporter(index, bucket, _sources(s3, index, bucket, files).get) as importer:
        for file in new:
            progress(1)
            if file.name and file.name.id in done:
                continue
            try:
                if not file.name and not is_original_key(file.key):
                    raise BadState("its name is not that of a state file")
                info, is_new = importer.import_state(_source(s3, bucket, file))
            except (BadState, NotFound) as error:
                index.ledger.pass_over(bucket, file.mark, error.message)
                result.rejected.append(Rejected(file.key, file.version_id, error.message))
            except Unreachable:
                raise
            except (S3Error, _NoRoom, SpoolFull) as error:
                result.unread.append(Rejected(file.key, file.version_id, error.message))
                denied += isinstance(error, AccessDenied)
                if denied == len(files):
                    hint = "the machine's account may not read versions by their id: use the admin's keys"
                    raise AccessDenied(error.message, hint=hint) from error
            else:
                if not file.name:  # whose id is not in its name
                    index.ledger.pass_over(bucket, file.mark, RECORDED_AS + info.id)
                done.add(info.id)
                if is_new:
                    result.recorded.append(info)
    return result


def _sources(s3: S3, index: Index, bucket: str, files: Sequence[StateFile]) -> dict[str, ImportSource]:
    """Where the content of each state is, by state id: in the first version that is not known to be something else."""
    rejected = index.ledger.passed_over(bucket).keys()
    found: dict[str, StateFile] = {}
    for file in files:
        if file.name and file.mark not in rejected:
            other = found.get(file.name.id)
            # A full one builds upon nothing.
            if other is None or (other.name and other.name.is_delta and not file.name.is_delta):
                found[file.name.id] = file
    return {number: _source(s3, bucket, file) for number, file in found.items()}


def _source(s3: S3, bucket: str, file: StateFile) -> ImportSource:
    @contextmanager
    def content() -> Iterator[IO[bytes]]:
        with tempfile.SpooledTemporaryFile(max_size=_SPOOL_MEMORY) as copy:
            if file.size > shutil.disk_usage(tempfile.gettempdir()).free:
                raise _NoRoom(f"its {file.size} bytes are more than there is room for in {tempfile.gettempdir()}")
            for chunk in s3.stream(bucket, file.key, file.version_id):
                copy.write(chunk)
            copy.seek(0)
            yield copy

    return ImportSource(file.key, content, file.name, file.size, is_stored=True)


def compare_with_history(
    s3: S3, index: Index, bucket: str, files: Sequence[StateFile], progress: Progress = lambda count: None
) -> list[ComparisonResult]:
    """Compare the states that are unchecked with the bucket's history, in one pass, and note what came out."""
    recorded = index.recorded(bucket)
    states = [state.info for state in recorded]
    wanted = [state.info.id for state in recorded if state.trust == "unchecked"]
    if not wanted:
        return []
    now = s3.server_time(bucket)
    comparison = Comparison(states, wanted, _uploads(index, bucket, files))
    references = index.references(bucket, states)
    for part in list_histories(s3, bucket):
        for history in part:
            comparison.compare_key(history, references.of(history[0].key))
            progress(len(history))
    judged = comparison.results()
    index.ledger.judge({one.info.id: one.verdict for one in judged}, now)
    return judged


def _uploads(index: Index, bucket: str, files: Sequence[StateFile]) -> dict[str, int]:
    """When the file of each state was written, by state id."""
    passed_over = index.ledger.passed_over(bucket)
    uploads: dict[str, int] = {}
    for file in files:
        why = passed_over.get(file.mark, "")
        if why.startswith(RECORDED_AS):
            uploads[why.removeprefix(RECORDED_AS)] = file.uploaded
        elif file.name and not why:
            before = uploads.get(file.name.id)
            # What was there before the state's second is no copy of it, but somebody knew the name.
            if before is None or before + SECOND < file.name.captured_at:
                uploads[file.name.id] = file.uploaded
            elif file.uploaded + SECOND >= file.name.captured_at:
                uploads[file.name.id] = min(file.uploaded, before)
    return uploads
