"""What RWM and lifecycle rules do in a bucket: state files are written, exact versions and markers vanish."""

from __future__ import annotations

import random
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise

from rwm.layout import is_own_key
from rwm.model import ObjectVersion
from rwm.retention.key_plan import KeyPlan, plan_key
from rwm.times import iso
from rwm.trust.kept_evidence import SUCCEEDED, KeptEvidence
from rwm.trust.names import Kind, kind_of
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

        With ``keeps_locks`` the locks whose life covers a marker that stays are kept; without it their versions go
        like all others, as earlier releases did.
        """
        kept = self.states[-keep_last:]
        self.states = list(kept)
        return remove_versions(self.bucket, kept, self.bucket.now - min_age if min_age else _NEVER, keeps_locks)

    def roll_back(self, state: CapturedState) -> list[str]:
        """Make the bucket what it was: copy old versions over newer ones, delete what came later; returns the keys.

        There is no lock, and names are written a second time. RWM records that it was itself.
        """
        bucket, changed = self.bucket, []
        for key in bucket.keys(state.prefix):
            if key not in state.current and not is_own_key(key):
                bucket.now += 10
                bucket.delete(key)
                changed.append(key)
        for key, version_id in state.current.items():
            history = bucket.history(key)
            wanted = next((version for version in history if version.version_id == version_id), None)
            if wanted is not None and bucket.newest(key).version_id != version_id:
                bucket.now += 10
                bucket.put(key, wanted.size, etag=wanted.etag)
                changed.append(key)
        return changed


def state_key(state: CapturedState, *, is_delta: bool = False) -> str:
    """The key of a state's file."""
    return f"{state.prefix}rwm/states/{iso(state.captured_at)}-{state.id}{'.delta' * is_delta}.jsonl.gz"


def remove_versions(bucket: Bucket, kept: Collection[CapturedState], cutoff: int, keeps_locks: bool) -> int:
    """Execute a prune that keeps these states and what was replaced at ``cutoff`` or later."""
    needed: dict[str, set[str]] = {}
    for state in kept:
        for key, version_id in state.current.items():
            needed.setdefault(key, set()).add(version_id)
    plans = [(history, plan_key(history, needed.get(history[0].key, set()), cutoff)) for history in _histories(bucket)]
    staying = _evidence(plans) if keeps_locks else set()
    removed = 0
    for history, plan in plans:
        for deletion in [*plan.versions, *plan.markers] if history[0].key not in staying else ():
            bucket.remove_version(deletion.key, deletion.version_id)
            removed += 1
    return removed


def _evidence(plans: list[tuple[list[ObjectVersion], KeyPlan]]) -> set[str]:
    """The keys that stay because the audit needs them."""
    staying: set[str] = set()
    by_root: dict[str, list[tuple[Kind, list[ObjectVersion], KeyPlan]]] = {}
    for history, plan in plans:
        root, kind = _place(history[0].key)
        by_root.setdefault(root, []).append((kind, history[::-1], plan))
    for keys in by_root.values():
        evidence = KeptEvidence()
        doomed: dict[Kind, list[list[ObjectVersion]]] = {kind: [] for kind in SUCCEEDED}
        for kind, entries, plan in keys:
            gone = {deletion.version_id for deletion in [*plan.versions, *plan.markers]}
            if kind is Kind.LOCKS:
                evidence.add_lock(entries)
            else:
                evidence.add_staying(kind, [entry for entry in entries if entry.version_id not in gone])
                if gone and kind in doomed:
                    doomed[kind].append(entries)
        for kind, histories in doomed.items():
            staying |= evidence.keep_successors(kind, histories)
        staying |= {es[0].key for kind, es, _ in keys if kind is Kind.LOCKS and evidence.needs_lock(es)}
    return staying


def _place(key: str) -> tuple[str, Kind]:
    """The root of the repository that a key is in, and its kind."""
    match = re.fullmatch(r"(.*?)((?:config)|(?:keys|index|snapshots|locks|data)/.*)", key, re.DOTALL)
    return (match[1], kind_of(match[2])) if match else ("", Kind.OTHER)


def expire_noncurrent(bucket: Bucket, age: int, *, removes_markers: bool = True) -> int:
    """A lifecycle rule: versions that have been noncurrent for ``age`` go, then markers that are alone, if wanted."""
    removed = 0
    for history in list(_histories(bucket)):
        for newer, version in pairwise(history):
            if newer.last_modified < bucket.now - age:
                bucket.remove_version(version.key, version.version_id)
                removed += 1
        left = bucket.history(history[0].key)
        if removes_markers and len(left) == 1 and left[0].is_marker and left[0].last_modified < bucket.now - age:
            bucket.remove_version(left[0].key, left[0].version_id)
            removed += 1
    return removed


def _histories(bucket: Bucket) -> list[list[ObjectVersion]]:
    histories: dict[str, list[ObjectVersion]] = {}
    for version in bucket:
        if not is_own_key(version.key):
            histories.setdefault(version.key, []).append(version)
    return list(histories.values())
