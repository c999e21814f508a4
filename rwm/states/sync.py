"""Sync: import the state files of a location and of those below it, and compare their states with the history.

The machine's account may write its state files too. So a file says something only of the prefix it lies below, the
first version of a file takes precedence, its content must have the id in its name, and a state is verified only if the
history confirms each of its entries.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import IO, NamedTuple

from rwm.errors import AccessDenied, BadState, NotFound, RwmError, S3Error, SpoolFull, Unreachable
from rwm.index import RECORDED_AS, Index, states_by_location
from rwm.layout import OWN_PREFIX, STATES_PREFIX, is_own_key
from rwm.location import Location
from rwm.model import StateInfo, Trust
from rwm.private import temporary_file_errors
from rwm.s3 import S3
from rwm.s3.listing import Lister, discover, group_by_key, list_histories, merge_in_threads
from rwm.statefile import is_original_key, parse_file_key
from rwm.states.comparison import ComparisonResult
from rwm.states.importing import ImportSource, StateImporter
from rwm.states.scopes import Scopes
from rwm.states.state_file import StateFile, by_prefix

_SPOOL_MEMORY = 1 << 20  # bytes; larger files are spooled to disk
_MAX_VERSIONS = 8  # of one key, oldest first
_CONNECTIONS = 8
_CHECKABLE: tuple[Trust, ...] = ("own", "verified", "unchecked", "unknown")

Progress = Callable[[int], None]


class KeptListing(NamedTuple):
    """A listing that was kept (:class:`rwm.s3.listing.RecordedLister`), and the ids of states that are older."""

    lister: Lister
    states: Collection[str]


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


def list_state_files(
    s3: S3, location: Location, prefixes: Iterable[str] = (), *, discovery_limit: int | None = None
) -> list[StateFile]:
    """The first versions of each key that has the name of a state file, including deleted and overwritten ones.

    Those of the location, of the prefixes below it that a bounded walk finds (:func:`rwm.s3.listing.discover`), and of
    ``prefixes`` below it, which are known from elsewhere. ``discovery_limit`` bounds the walk further.

    Later versions are used only if the first one's content does not have the id in its name: somebody may have written
    another file under that name first. Sorted by the time of the state, so that a delta comes after its base.
    """
    known = {prefix for prefix in prefixes if prefix.startswith(location.prefix) and not is_own_key(prefix)}
    places = sorted({location.prefix, *known, *discover(s3, location, limit=discovery_limit).state_prefixes})
    tasks = [partial(_list_files_of, s3, location.bucket, prefix) for prefix in places]
    found = tasks[0]() if len(tasks) == 1 else merge_in_threads(tasks, min(_CONNECTIONS, len(tasks)))
    return sorted(found, key=lambda file: (file.name.captured_at if file.name else 0, file.uploaded, file.key))


def _list_files_of(s3: S3, bucket: str, prefix: str) -> Iterator[StateFile]:
    """The state files of one prefix; of a whole bucket also those of the original tool."""
    states = prefix + STATES_PREFIX
    for history in group_by_key(s3.versions(bucket, states if prefix else OWN_PREFIX)):
        written = [version for version in history if not version.is_marker]
        key = history[0].key
        if written and (key.startswith(states) or is_original_key(key)):
            name = parse_file_key(key)
            for version in written[: -1 - (_MAX_VERSIONS if name else 1) : -1]:
                yield StateFile(key, version.version_id, version.size, version.last_modified, name)


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

    ``files`` are all state files of the location, because the base of a new one may not be recorded. A file that the
    server denies, or that does not fit on the disk, is skipped this time: an attacker can write such files, and they
    must not block the others. Raises AccessDenied if no file can be read, Unreachable, and errors of the index; states
    recorded before remain.
    """
    sync = _Sync(s3, index, location.bucket, len(files))
    all_files = by_prefix(files)
    for prefix, new_files in sorted(by_prefix(new).items()):
        sync.import_files(all_files.get(prefix, []), new_files, progress)
    sync.result.recorded.sort(key=lambda info: info.captured_at)
    return sync.result


class _Sync:
    """Imports files, those of one prefix after those of another: a state is the base of the next one of its prefix."""

    def __init__(self, s3: S3, index: Index, bucket: str, file_count: int) -> None:
        self.result = SyncResult()
        self._s3 = s3
        self._index = index
        self._bucket = bucket
        self._file_count = file_count
        self._ignored = index.ledger.ignored(bucket).keys()
        self._denied = 0

    def import_files(self, files: Sequence[StateFile], new: Sequence[StateFile], progress: Progress) -> None:
        """Import the ``new`` ones of all ``files`` of one prefix."""
        sources = _sources_by_id(self._s3, self._bucket, files, self._ignored)
        done: set[str] = set()
        with StateImporter(self._index, self._bucket, sources.get) as importer:
            for file in new:
                progress(1)
                if not (file.name and file.name.id in done) and (info := self._import_file(importer, file)):
                    done.add(info.id)

    def _import_file(self, importer: StateImporter, file: StateFile) -> StateInfo | None:
        """Import one file; None if that is not possible."""
        try:
            if not file.name and not is_original_key(file.key):
                raise BadState("its name is not that of a state file")
            info, is_new = importer.import_state(_source(self._s3, self._bucket, file))
        except (BadState, NotFound) as error:
            self._index.ledger.ignore(self._bucket, file.ledger_key, _why(error, file))
            self.result.rejected.append(SkippedFile(file.key, file.version_id, _why(error, file)))
            return None
        except Unreachable:
            raise
        except (S3Error, _DiskFull, SpoolFull) as error:
            self.result.unread.append(SkippedFile(file.key, file.version_id, _why(error, file)))
            self._denied += isinstance(error, AccessDenied)
            if self._denied == self._file_count:
                hint = "the machine's account may not read versions by their id: use the admin's keys"
                raise AccessDenied(error.message, hint=hint) from error
            return None
        if not file.name:  # its id is not in its name
            self._index.ledger.ignore(self._bucket, file.ledger_key, RECORDED_AS + info.id)
        if is_new:
            self.result.recorded.append(info)
        return info


def _why(error: RwmError, file: StateFile) -> str:
    """The reason, and the whole message if another file is meant: a base."""
    return error.why if file.key in error.message else error.message


def _sources_by_id(
    s3: S3, bucket: str, files: Sequence[StateFile], rejected: Collection[str]
) -> dict[str, ImportSource]:
    """The file of each state, by state id: the first version that was not rejected, a full one if there is any."""
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
        with temporary_file_errors(), tempfile.SpooledTemporaryFile(max_size=_SPOOL_MEMORY) as copy:
            if file.size > shutil.disk_usage(tempfile.gettempdir()).free:
                raise _DiskFull(f"its {file.size} bytes are more than the free space of {tempfile.gettempdir()}")
            for chunk in s3.stream(bucket, file.key, file.version_id):
                copy.write(chunk)
            copy.seek(0)  # writes what is buffered, as the end does
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
    kept: KeptListing | None = None,
) -> list[ComparisonResult]:
    """Compare all unchecked states of the location and of those below it with the history, and record the verdicts.

    In one listing, which also shows storage classes: they are recorded too. ``always`` lists for them alone. A ``kept``
    listing is compared with all states that are older but contradicted ones: those of which versions are gone become
    unknown.
    """
    recorded = [state for state in index.recorded(location) if location.covers(state.info.location)]
    if kept is not None:
        recorded = [state for state in recorded if state.info.id in kept.states]
    wanted = [state for state in recorded if state.trust in (_CHECKABLE if kept else ("unchecked",))]
    if not wanted and not (always and recorded):
        return []
    now = s3.server_time(location.bucket)
    places = {state.info.location for state in wanted}
    judged = {place: states for place, states in states_by_location(recorded).items() if place in places}
    ids = {state.info.id: state.trust for state in wanted}
    scopes = Scopes(index, judged, ids.keys(), files, index.ledger.ignored(location.bucket))
    classes = index.storage_classes.table()
    lister = kept.lister if kept else s3
    try:
        for part in list_histories(lister, location, ambiguous=True):
            for history in part:
                scopes.compare_key(history, lister.unknown_keys.known_until(location.bucket, history[0].key))
                classes.add_versions(history)
                progress(len(history))
        ambiguous = sum(key.reason == "ambiguous" for key in lister.unknown_keys.below(location))
        results = [one for one in scopes.results() if _is_news(one, ids[one.info.id], ambiguous)]
        index.ledger.set_trust({result.info.id: result.verdict for result in results}, now)
        index.storage_classes.record(location, classes, now)
    finally:
        classes.close()
    return results


def _is_news(result: ComparisonResult, trust: Trust, ambiguous: int) -> bool:
    """Whether a result is to be recorded. Of a state that was compared, nothing counts but that versions are gone.

    Those of ambiguous keys are not known to be.
    """
    return trust == "unchecked" or (result.verdict == "unknown" and not result.doubt and result.unknown > ambiguous)
