"""What RWM and lifecycle rules do in a bucket: state files are written, exact versions and markers vanish."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from rwm.layout import CONFIG_FILE, is_own_key
from rwm.model import ObjectVersion, OperationChange, OwnChange
from rwm.prune.deferred import Deferred
from rwm.prune.evidence import EvidenceKeeper
from rwm.prune.key_plan import Deletion, plan_key
from rwm.s3.listing import group_by_key
from rwm.states.current import current_at
from rwm.times import iso
from rwm.trust import CONTENT_ADDRESSED, Captures, Kind, OwnChanges, RepositoryRoots
from tests.histories.bucket import Bucket

_NEVER = 1 << 62


@dataclass(frozen=True, slots=True)
class CapturedState:
    """A state: the version id of each key that was current, and its time (a whole second)."""

    id: str
    captured_at: int
    prefix: str
    current: Mapping[str, str]


class Rwm:
    """RWM beside one bucket: captures that write state files, and prunes."""

    def __init__(self, bucket: Bucket, seed: int = 0) -> None:
        self.bucket = bucket
        self.states: list[CapturedState] = []
        self._random = random.Random(seed)
        self._changes: list[OwnChange] = []
        """What it did to the bucket, as it has recorded it."""
        self._fulls: set[str] = set()
        """Prefixes of which a full state file was written."""

    def capture(self, prefix: str = "", *, writes_file: bool = True) -> CapturedState:
        """Capture a state now; its file is full the first time and mostly a delta afterwards.

        The machine writes it after a backup, an admin as often as wanted: the listing cannot tell them apart.
        """
        bucket = self.bucket
        captured_at = bucket.now // 1000 * 1000
        bucket.now = captured_at + 1000  # when the second is over
        current = {
            key: entry.version_id
            for key, history in _histories(bucket, prefix).items()
            if (entry := current_at(history, captured_at, born_later=True))
        }
        state = CapturedState(f"{self._random.getrandbits(256):064x}", captured_at, prefix, current)
        self.states.append(state)
        if writes_file:
            is_delta = prefix in self._fulls and self._random.random() < 0.9
            self._fulls.add(prefix)
            bucket.now += 1000
            size = 300 + (20 if is_delta else 100) * len(current)
            bucket.put(state_key(state, is_delta=is_delta), size)
        return state

    def prune(self, keep_last: int, *, min_age: int = 0) -> int:
        """Remove what the newest states do not need, as ``rwm prune`` does; returns the number of removals."""
        cutoff = self.bucket.now - min_age if min_age else _NEVER
        return prune(self.bucket, self._keep(keep_last), cutoff, OwnChanges(self._changes))

    def drop_versions(self, keep_last: int, *, min_age: int = 0, removes_markers: bool = True) -> int:
        """Remove what the newest states do not need, as a program does that knows nothing of evidence."""
        kept, cutoff = self._keep(keep_last), self.bucket.now - min_age if min_age else _NEVER
        return drop_versions(self.bucket, kept, cutoff, removes_markers=removes_markers)

    def _keep(self, count: int) -> list[CapturedState]:
        self.states = self.states[-count:]
        return list(self.states)

    def roll_back(self, state: CapturedState) -> list[OwnChange]:
        """Make the bucket what it was, without a lock: returns what RWM records of it.

        Delete markers are removed, other versions copied over newer ones, and what came later is marked. Locks of that
        time are not brought back.
        """
        bucket, changes, at = self.bucket, [], self.bucket.now // 1000 * 1000
        for key in {version.key: None for version in bucket if version.is_latest and not version.is_marker}:
            if key.startswith(state.prefix) and key not in state.current and not is_own_key(key):
                bucket.now += 10
                if marker := bucket.delete(key):
                    changes.append(OperationChange("marked", key, marker.version_id))
        return self._record(at, [*changes, *self._bring_back(state, copies=True)])

    def undelete(self, state: CapturedState) -> list[OwnChange]:
        """Remove the delete markers above what the state has: returns what RWM records of it."""
        return self._record(self.bucket.now // 1000 * 1000, [*self._bring_back(state, copies=False)])

    def _bring_back(self, state: CapturedState, *, copies: bool) -> Iterator[OperationChange]:
        """Make the versions of a state current where only markers are above them; with ``copies`` also elsewhere."""
        bucket = self.bucket
        for key, version_id in state.current.items():
            if f"/{key}".rpartition("/")[0].endswith("/locks"):
                continue
            history = bucket.history(key)
            position = next((n for n, version in enumerate(history) if version.version_id == version_id), 0)
            above = history[:position]
            bucket.now += 10 if above else 0
            if above and all(version.is_marker for version in above):
                for marker in above:
                    bucket.remove_version(key, marker.version_id)
                    yield OperationChange("unmarked", key, marker.version_id, at=marker.last_modified)
            elif above and copies:
                copy = bucket.put(key, history[position].size, etag=history[position].etag)
                yield OperationChange("copied", key, copy.version_id, version_id)

    def _record(self, at: int, changes: Iterable[OperationChange]) -> list[OwnChange]:
        recorded = [OwnChange(at, change) for change in changes]
        self._changes += recorded
        return recorded


def state_key(state: CapturedState, *, is_delta: bool = False) -> str:
    """The key of a state's file."""
    return f"{state.prefix}rwm/states/{iso(state.captured_at)}-{state.id}{'.delta' * is_delta}.jsonl.gz"


def prune(bucket: Bucket, kept: Collection[CapturedState], cutoff: int, own: OwnChanges | None = None) -> int:
    """Execute a prune that keeps these states, what was replaced at ``cutoff`` or later, and evidence.

    ``own`` is what RWM has recorded of what it did.
    """
    needed = _needed(kept)
    histories = _histories(bucket)
    roots = RepositoryRoots({key.removesuffix(CONFIG_FILE) for key in histories if f"/{key}".endswith("/config")})
    evidence = EvidenceKeeper(_captures(bucket), own)
    deletions: dict[str, list[Deletion]] = {}
    deferred: list[Deferred] = []
    for key, history in histories.items():
        place = roots.find(key)
        is_written_once = place is not None and place[1] in (*CONTENT_ADDRESSED, Kind.CONFIG)
        is_proved = (lambda _: False) if is_written_once else None
        plan = plan_key(history, needed.get(key, set()), cutoff, is_proved=is_proved)
        deletions[key] = [*plan.versions, *plan.markers]
        if place is not None and evidence.observe(*place, history, plan):
            deferred.append(Deferred(*place, history, plan))
    stays = evidence.decide(deferred)
    staying = {item.history[0].key for item in deferred if stays(item)}
    return _remove(bucket, (item for key, items in deletions.items() if key not in staying for item in items))


def drop_versions(bucket: Bucket, kept: Collection[CapturedState], cutoff: int, *, removes_markers: bool = True) -> int:
    """Remove all noncurrent versions that these states do not need, and markers that hide nothing, if wanted."""
    needed = _needed(kept)
    plans = [plan_key(history, needed.get(key, set()), cutoff) for key, history in _histories(bucket).items()]
    return _remove(bucket, (item for plan in plans for item in (*plan.versions, *plan.markers * removes_markers)))


def _needed(states: Collection[CapturedState]) -> dict[str, set[str]]:
    """The version ids that states need, by key."""
    needed: dict[str, set[str]] = {}
    for state in states:
        for key, version_id in state.current.items():
            needed.setdefault(key, set()).add(version_id)
    return needed


def _remove(bucket: Bucket, deletions: Iterable[Deletion]) -> int:
    removed = list(deletions)
    for deletion in removed:
        bucket.remove_version(deletion.key, deletion.version_id)
    return len(removed)


def _captures(bucket: Bucket) -> Captures:
    captures = Captures()
    for history in group_by_key([version for version in bucket if is_own_key(version.key)]):
        captures.add(history[::-1])
    return captures


def expire_noncurrent(bucket: Bucket, age: int, *, removes_markers: bool = True) -> int:
    """A lifecycle rule: versions that have been noncurrent for ``age`` go, then markers that are alone, if wanted."""
    removed = 0
    for key, history in _histories(bucket).items():
        for newer, version in pairwise(history):
            if newer.last_modified < bucket.now - age:
                bucket.remove_version(version.key, version.version_id)
                removed += 1
        left = bucket.history(key)
        if removes_markers and len(left) == 1 and left[0].is_marker and left[0].last_modified < bucket.now - age:
            bucket.remove_version(left[0].key, left[0].version_id)
            removed += 1
    return removed


def _histories(bucket: Bucket, prefix: str = "") -> dict[str, list[ObjectVersion]]:
    histories: dict[str, list[ObjectVersion]] = {}
    for version in bucket:
        if version.key.startswith(prefix) and not is_own_key(version.key):
            histories.setdefault(version.key, []).append(version)
    return histories
