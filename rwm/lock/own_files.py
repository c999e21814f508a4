"""Which of RWM's own files in a bucket are locked with the kept states: without them the bucket alone tells no state.

That are the files of the states, those that they build upon, and the operation records that an audit reads.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from rwm.errors import RwmError, SpoolFull, Unreachable
from rwm.index import Index
from rwm.layout import STATES_PREFIX
from rwm.lock.plan import DueLock, LockPlan
from rwm.lock.rules import next_retention
from rwm.model import ObjectVersion, Retention, RetentionChange
from rwm.operations import LOCK_KINDS, list_records
from rwm.private import temporary_file
from rwm.s3 import S3
from rwm.statefile import DeltaState, open_state_file, parse_file_key

MAX_VERSIONS = 8
"""Versions of a state file that are locked, the oldest ones: as many as sync looks at."""

Files = dict[str, list[ObjectVersion]]
"""The versions of the files of each state, oldest first, by state id."""


def plan_own_locks(s3: S3, index: Index, plan: LockPlan) -> list[DueLock]:
    """The locks of own files that are due, for as long as those of the kept states.

    The files that a state builds upon are looked up when the lock of its own file is due, and come before it. Of the
    operation records not those of prunes and locks. Raises the errors of listings.
    """
    return list(_Planner(s3, index, plan).due())


def plan_record_lock(s3: S3, index: Index, plan: LockPlan) -> list[DueLock]:
    """The lock of the newest record of locks, once it is written."""
    return list(_Planner(s3, index, plan).newest_lock_record())


class _Planner:
    def __init__(self, s3: S3, index: Index, plan: LockPlan) -> None:
        self._s3 = s3
        self._index = index
        self._plan = plan
        self._bucket = plan.location.bucket
        self._retentions = index.retentions.lookup(self._bucket)
        self._planned: dict[tuple[str, str], int] = {}

    def due(self) -> Iterator[DueLock]:
        """All of them."""
        by_prefix: dict[str, list[str]] = defaultdict(list)
        for info in self._plan.states:
            by_prefix[info.prefix].append(info.id)
        for prefix, states in by_prefix.items():
            files = self._list(prefix)
            for state in states:
                yield from self._of_state(files, state, self._plan.kept_until[state])
        for record in list_records(self._s3, self._bucket):
            if record.kind not in ("prune", *LOCK_KINDS):
                yield from self._of_record(record.key)

    def newest_lock_record(self) -> Iterator[DueLock]:
        """The lock of it."""
        locks = [record.key for record in list_records(self._s3, self._bucket) if record.kind in LOCK_KINDS]
        for key in locks[-1:]:
            yield from self._of_record(key)

    def _list(self, prefix: str) -> Files:
        found: Files = defaultdict(list)
        for version in self._s3.versions(self._bucket, prefix + STATES_PREFIX):
            name = parse_file_key(version.key)
            if name is not None and name.prefix == prefix and not version.is_marker:
                found[name.id].append(version)
        return {state: sorted(each, key=lambda one: one.last_modified)[:MAX_VERSIONS] for state, each in found.items()}

    def _of_state(self, files: Files, state: str, needed: int) -> Iterator[DueLock]:
        due = [lock for version in files.get(state, ()) if (lock := self._next(version, needed))]
        if not due:
            return
        until = max(lock.change.retention.until for lock in due)
        seen = {state}
        base = self._base(files, state)
        while base is not None and base not in seen:
            seen.add(base)
            for version in files.get(base, ()):
                if lock := self._next(version, until):
                    yield lock
            base = self._base(files, base)
        yield from due

    def _base(self, files: Files, state: str) -> str | None:
        """The state upon which the file of a state builds, by the index, or by the file."""
        info = self._index.by_id(state)
        stored = None if info is None else self._index.ledger.stored_file(info)
        if stored is not None:
            return stored.base
        for version in files.get(state, ()):
            name = parse_file_key(version.key)
            if name is not None and name.is_delta and (base := self._read_base(version)):
                return base
        return None

    def _read_base(self, version: ObjectVersion) -> str | None:
        with temporary_file() as file:
            try:
                for chunk in self._s3.stream(self._bucket, version.key, version.version_id):
                    file.write(chunk)
                file.seek(0)
                opened = open_state_file(file, version.key)
            except (Unreachable, SpoolFull):
                raise
            except RwmError:  # somebody else wrote it
                return None
        return opened.base if isinstance(opened, DeltaState) else None

    def _of_record(self, key: str) -> Iterator[DueLock]:
        needed = max(self._plan.kept_until.values(), default=0)
        for version in self._s3.versions(self._bucket, key):
            if version.key == key and version.is_latest and (lock := self._next(version, needed)):
                yield lock

    def _next(self, version: ObjectVersion, needed: int) -> DueLock | None:
        pair = version.key, version.version_id
        plan = self._plan
        known = 0 if plan.again else self._retentions.known_until(*pair)
        until = max(known, self._planned.get(pair, 0))
        current = Retention(plan.mode, until) if until else None
        retention = next_retention(version.key, needed, current, plan.mode, plan.timing)
        if retention is None:
            return None
        self._planned[pair] = retention.until
        return DueLock(RetentionChange(*pair, retention), version.last_modified)
