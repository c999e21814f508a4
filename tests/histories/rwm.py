"""What RWM and lifecycle rules do in a bucket: state files are written, exact versions and markers vanish."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise

from rwm.layout import CONFIG_FILE, is_own_key
from rwm.model import ObjectVersion, OperationChange, OwnChange
from rwm.retention.deferred import Deferred
from rwm.retention.evidence import EvidenceKeeper
from rwm.retention.key_plan import Deletion, plan_key
from rwm.times import iso
from rwm.trust import CONTENT_ADDRESSED, Kind, RepositoryRoots
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
        self._fulls: set[str] = set()
        """Prefixes of which a full state file was written."""

    def capture(self, prefix: str = "", *, writes_file: bool = True) -> CapturedState:
        """Capture a state now; its file is full the first time and mostly a delta afterwards.

        The machine writes it after a backup, an admin as often as wanted: the listing cannot tell them apart.
        """
        bucket = self.bucket
        current = {key: bucket.newest(key).version_id for key in bucket.keys(prefix) if not is_own_key(key)}
        captured_at = bucket.now // 1000 * 1000
        state = CapturedState(f"{self._random.getrandbits(256):064x}", captured_at, prefix, current)
        self.states.append(state)
        if writes_file:
            is_delta = prefix in self._fulls and self._random.random() < 0.9
            self._fulls.add(prefix)
            bucket.now += 1000
            size = 300 + (20 if is_delta else 100) * len(current)
            bucket.put(state_key(state, is_delta=is_delta), size)
        return state

    def prune(self, keep_last: int, *, min_age: int = 0, keeps_locks: bool = True) -> int:
        """Remove what the newest states do not need, as ``rwm prune`` plans it; returns the number of removals.

        With ``keeps_locks`` the locks whose life covers a marker that stays are kept; without it all that were removed
        go, those in a state too, as with a lifecycle rule.
        """
        kept = self.states[-keep_last:]
        self.states = list(kept)
        return remove_versions(self.bucket, kept, self.bucket.now - min_age if min_age else _NEVER, keeps_locks)

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
                    changes.append(OperationChange("unmarked", key, marker.version_id, at=marker.last_modified))
            elif above:
                copy = bucket.put(key, history[position].size, etag=history[position].etag)
                changes.append(OperationChange("copied", key, copy.version_id, version_id))
        return [OwnChange(at, change) for change in changes]


def state_key(state: CapturedState, *, is_delta: bool = False) -> str:
    """The key of a state's file."""
    return f"{state.prefix}rwm/states/{iso(state.captured_at)}-{state.id}{'.delta' * is_delta}.jsonl.gz"


def remove_versions(bucket: Bucket, kept: Collection[CapturedState], cutoff: int, keeps_locks: bool) -> int:
    """Execute a prune that keeps these states and what was replaced at ``cutoff`` or later."""
    needed: dict[str, set[str]] = {}
    for state in kept:
        for key, version_id in state.current.items():
            needed.setdefault(key, set()).add(version_id)
    histories = _histories(bucket)
    roots = RepositoryRoots({key.removesuffix(CONFIG_FILE) for key in histories if f"/{key}".endswith("/config")})
    evidence = EvidenceKeeper()
    deletions: dict[str, list[Deletion]] = {}
    deferred: list[Deferred] = []
    for key, history in histories.items():
        place = roots.find(key)
        is_written_once = place is not None and place[1] in (*CONTENT_ADDRESSED, Kind.CONFIG)
        is_proved = (lambda _: False) if is_written_once else None
        is_needless = place is not None and place[1] is Kind.LOCKS and not keeps_locks
        plan = plan_key(history, set() if is_needless else needed.get(key, set()), cutoff, is_proved=is_proved)
        deletions[key] = [*plan.versions, *plan.markers]
        if place is not None and evidence.observe(*place, history, plan):
            deferred.append(Deferred(*place, history, plan))
    stays = evidence.decide(deferred)
    staying = {item.history[0].key for item in deferred if stays(item)} if keeps_locks else set()
    removed = [deletion for key, items in deletions.items() if key not in staying for deletion in items]
    for deletion in removed:
        bucket.remove_version(deletion.key, deletion.version_id)
    return len(removed)


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


def _histories(bucket: Bucket) -> dict[str, list[ObjectVersion]]:
    histories: dict[str, list[ObjectVersion]] = {}
    for version in bucket:
        if not is_own_key(version.key):
            histories.setdefault(version.key, []).append(version)
    return histories
