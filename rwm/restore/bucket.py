"""Restore a state to another location on the same server, by copies on the server."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from itertools import islice

from rwm.errors import AccessDenied, NotSupported, Refused, RwmError, UsageError
from rwm.index import CaptureSpool
from rwm.layout import is_own_key
from rwm.location import Location
from rwm.model import Entry, EntryBatch
from rwm.repositories import inside_repository
from rwm.restore.comparison import Match, Pair, current_entry, pair_by_key
from rwm.restore.part import StatePart
from rwm.restore.transfer import Progress, RestoreResult, transfer_entries
from rwm.s3 import COPY_LIMIT, S3
from rwm.s3.listing import enclosing_repository, list_histories

_NAMED = 3
"""How many keys an error names."""

_BATCH = 1000  # entries


def restore_to_bucket(
    s3: S3, part: StatePart, target: Location, progress: Progress = lambda count: None
) -> RestoreResult:
    """Copy every entry of the part to ``target``, unless it is there already; a missing bucket is created (versioned).

    A restore that was interrupted goes on when it is called again: what has the size and the ETag of its entry is kept.
    The copies are compared with the state by a listing at the end: sizes, and ETags where both are MD5 sums.

    Raises Refused for a target with anything that does not belong to the part or has other content, and UsageError for
    one that overlaps what is restored or is a directory in a repository. Own objects of RWM are no part of either.
    """
    check_apart(part.location, target)
    comparison = _Comparison(s3, part, target)
    result = RestoreResult()
    if not s3.bucket_exists(target.bucket):
        s3.create_bucket(target.bucket)
        s3.enable_versioning(target.bucket)
        transfer_entries(part.entries(), comparison.copy, result, progress)
    else:
        _check_not_in_repository(s3, target)
        _enable_versioning(s3, target.bucket)
        with comparison.listed() as pairs:
            _check_foreign(target, comparison.differences(pair for pair in pairs() if pair.found))
            comparison.abort_uploads()
            transfer_entries(_missing(pairs(), result, progress), comparison.copy, result, progress)
    with comparison.listed() as pairs:
        _compare(comparison, pairs(), result)
    return result


def _enable_versioning(s3: S3, bucket: str) -> None:
    """A run that was killed may have left a new bucket without versioning."""
    with suppress(AccessDenied, NotSupported):
        if next(s3.versions(bucket, page_size=1), None) is None and not s3.versioning(bucket):
            s3.enable_versioning(bucket)


def _compare(comparison: _Comparison, pairs: Iterator[Pair], result: RestoreResult) -> None:
    """Turn every copy that is missing or differs into a failure, and collect what is foreign."""
    failed = {key for key, _ in result.failures}
    for pair, key, why in comparison.differences(pairs):
        if pair.wanted is None:
            result.foreign.append(key)
        elif pair.key not in failed:
            result.failures.append((pair.key, why))
            result.objects -= 1
            result.bytes -= pair.wanted.size


def check_apart(source: Location, target: Location) -> None:
    """Raise UsageError if the target overlaps what is restored."""
    if target.overlaps(source):
        what = "the state's own" if target == source else f"{'above' if target.covers(source) else 'inside'} {source}"
        raise UsageError(f"{target.described} is {what}", hint="name another bucket, or a location apart from it")


def _check_not_in_repository(s3: S3, target: Location) -> None:
    if repository := enclosing_repository(s3, target):
        raise inside_repository(target, repository, "name a location apart from it")


def _check_foreign(target: Location, differences: Iterator[tuple[Pair, str, str]]) -> None:
    found = list(islice(differences, _NAMED + 1))
    if not found:
        return
    names = ", ".join(f"{key!r}: {why}" for _, key, why in found[:_NAMED])
    raise Refused(
        f"{target.described} is not empty: {names}" + (", …" if len(found) > _NAMED else ""),
        hint="name an empty or a new bucket, or a prefix of its own; an interrupted restore of the same state goes on",
    )


def _missing(pairs: Iterator[Pair], result: RestoreResult, progress: Progress) -> Iterator[Entry]:
    """The entries to copy; those that are there are counted."""
    for pair in pairs:
        if pair.wanted is None:
            continue
        if pair.match is Match.SAME:
            result.add(pair.wanted, kept=True)
            progress(1)
        else:
            yield pair.wanted


class _Comparison:
    """Compares the target with the part."""

    def __init__(self, s3: S3, part: StatePart, target: Location) -> None:
        self._s3 = s3
        self._part = part
        self._target = target

    def copy(self, entry: Entry) -> bool:
        """Copy the version of an entry."""
        key = self._target_key(entry.key)
        if is_own_key(key):
            raise RwmError(f"its key would be {key}, where RWM keeps its own objects")
        self._s3.copy(self._part.info.bucket, entry.key, entry.version_id, self._target.bucket, key, size=entry.size)
        return True

    def abort_uploads(self) -> None:
        """Abort what an interrupted run has left of copies in parts."""
        large = {self._target_key(entry.key) for entry in self._part.entries() if entry.size > COPY_LIMIT}
        self._s3.abort_own_uploads(self._target.bucket, large)

    def _target_key(self, key: str) -> str:
        return self._target.key(self._part.relative(key))

    @contextmanager
    def listed(self) -> Iterator[Callable[[], Iterator[Pair]]]:
        """List the target; yields a function that reads all entries of both, sorted by key. Memory is constant."""
        with closing(CaptureSpool.temporary()) as spool:
            spool.add(self._list_batches())
            yield lambda: pair_by_key(self._part.entries(), spool.entries())

    def _list_batches(self) -> Iterator[EntryBatch]:
        """The newest version of each key of the target, by the key that it has in the state."""
        prefix = self._part.prefix
        for listed in list_histories(self._s3, self._target, concurrency=None):
            entries = (
                current_entry(history[0], prefix + history[0].key[len(self._target.prefix) :]) for history in listed
            )
            while batch := list(islice(entries, _BATCH)):
                yield EntryBatch.of(batch)

    def differences(self, pairs: Iterable[Pair]) -> Iterator[tuple[Pair, str, str]]:
        """The pairs that differ, each with the key in the target and why."""
        for pair in pairs:
            if why := self._describe(pair):
                yield pair, self._target_key(pair.key), why

    def _describe(self, pair: Pair) -> str | None:
        """How a pair differs; None if it does not as far as one can tell."""
        match pair.match:
            case Match.SAME | Match.ALIKE:
                return None
            case Match.FOREIGN:
                return "it is not of the state"
            case Match.MISSING:
                return "the copy is missing"
            case Match.DELETED:
                return "it is deleted there"
            case Match.SIZE:
                assert pair.wanted and pair.found
                return f"the copy has {pair.found.size} of {pair.wanted.size} bytes"
            case Match.ETAG:
                return "the copy has another content" if self._are_md5(pair) else None

    def _are_md5(self, pair: Pair) -> bool:
        """Whether both ETags are MD5 sums: those of encrypted content only look like them."""
        assert pair.wanted and pair.found
        return self._s3.has_md5_etag(self._part.info.bucket, pair.key, pair.wanted.version_id) and (
            self._s3.has_md5_etag(self._target.bucket, self._target_key(pair.key), pair.found.version_id)
        )
