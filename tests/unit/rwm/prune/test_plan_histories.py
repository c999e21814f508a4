"""Prunes of generated honest histories: kept states stay complete, and the audit finds no proof in what is left."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import IO

import pytest

from rwm.errors import BadResponse
from rwm.index import Index
from rwm.location import Location
from rwm.model import ObjectVersion
from rwm.prune import PrunePlan, plan_prune, prune_and_forget
from rwm.retention import select_kept_states
from rwm.s3 import DeleteFailure
from rwm.states import capture_state
from rwm.times import DAY, SECOND
from tests.histories.bucket import Bucket
from tests.histories.generator import History, generate
from tests.keeping import keep_last
from tests.unit.memory import MemoryS3
from tests.unit.rwm.trust.auditing import audit_history, proofs

NEVER = 1 << 62


class SimulatedS3(MemoryS3):
    """The simulated bucket as a server. Its objects have no content."""

    def __init__(self, bucket: Bucket) -> None:
        super().__init__(bucket.name)
        self.simulated = bucket
        self.dies_after = NEVER
        """Deletions after which every request fails."""

    def _of(self, bucket: str) -> dict[str, list[ObjectVersion]]:
        histories: dict[str, list[ObjectVersion]] = {}
        for version in self.simulated:
            histories.setdefault(version.key, []).append(version)
        return histories

    def server_time(self, bucket: str) -> int:
        now = self.simulated.now // SECOND * SECOND
        self.simulated.now += SECOND
        return now

    def stamp_time(self, bucket: str, key: str) -> int:
        return self.simulated.now

    def put(self, bucket: str, key: str, body: bytes | IO[bytes]) -> str:
        content = body if isinstance(body, bytes) else body.read()
        return self.simulated.put(key, len(content)).version_id

    def upload(self, bucket: str, key: str, path: Path) -> None:
        self.put(bucket, key, path.read_bytes())

    def stream(self, bucket: str, key: str, version_id: str | None = None, etag: str | None = None) -> Iterator[bytes]:
        return iter(())

    def delete_versions(self, bucket: str, exact: Sequence[tuple[str, str]]) -> list[DeleteFailure]:
        with self._lock:
            for key, version_id in exact:
                if self.dies_after <= 0:
                    raise BadResponse("DeleteObjects: the connection ended")
                self.dies_after -= 1
                self.simulated.remove_version(key, version_id)
        return []


def live_and_capture(history: History, s3: SimulatedS3, index: Index, rng: random.Random) -> None:
    """Let restic work, and capture states of the bucket or of each repository between."""
    bucket = history.bucket.name
    prefixes = [""] if rng.random() < 0.5 else [repository.prefix for repository in history.repositories]
    locations = [Location(bucket, prefix) for prefix in prefixes]
    for _ in range(rng.randint(1, 4)):
        for location in locations:
            if history.bucket.keys(location.prefix):
                capture_state(s3, index, location)
        history.go_on(rng.randint(1, 8))


def plan_and_keep_last_clean(s3: SimulatedS3, index: Index, location: Location, rng: random.Random) -> PrunePlan:
    """A plan that is not refused: the last clean states are named if they would be lost."""
    last, min_age = rng.randint(1, 3), rng.choice([0, 0, DAY])
    plan = plan_prune(s3, index, location, select_kept_states(index, location, keep_last(last), []), min_age=min_age)
    if plan.refused:
        names = [place.last_clean.id for place in plan.locations if place.last_clean is not None]
        keep = select_kept_states(index, location, keep_last(last), names)
        plan = plan_prune(s3, index, location, keep, min_age=min_age)
    return plan


def check_interrupted_prune(seed: int, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    history, rng = generate(seed, removes_evidence=False, operations=12), random.Random(seed)
    s3 = SimulatedS3(history.bucket)
    monkeypatch.setattr("rwm.prune.delete_batches.DELETE_BATCH", rng.choice([1, 5, 50]))
    with Index.open(directory / f"{seed}.sqlite") as index:
        live_and_capture(history, s3, index, rng)
        if not index.states():
            return
        current, location = history.bucket.keys(), Location(history.bucket.name)
        plan = plan_and_keep_last_clean(s3, index, location, rng)
        doomed = {(item.key, item.version_id) for item in (*plan.versions, *plan.markers)}
        s3.dies_after = rng.randrange(len(doomed) + 1)
        with pytest.raises(BadResponse) if s3.dies_after < len(doomed) else nullcontext():
            prune_and_forget(s3, index, plan)
        s3.dies_after = NEVER
        assert sorted(history.bucket.keys()) == sorted(current)
        found = proofs(audit_history(history))
        assert not found, f"seed {seed}\n" + "\n".join([*history.log, *map(str, found)])
        again = plan_prune(s3, index, location, plan.kept_states)
        assert again.refused == (), f"seed {seed}"
        prune_and_forget(s3, index, again)
        left = {(version.key, version.version_id) for version in history.bucket}
        stays = {key for key, _ in left & doomed}  # more evidence than without the interruption
        assert all({"locks", "index", "keys"} & set(key.split("/")) for key in stays), f"seed {seed}"
        for info in plan.kept_states:
            assert {(entry.key, entry.version_id) for entry in index.entries(info)} <= left, f"seed {seed}"


def check_prune(seed: int, directory: Path) -> None:
    history, rng = generate(seed, removes_evidence=False, operations=12), random.Random(seed)
    s3 = SimulatedS3(history.bucket)
    with Index.open(directory / f"{seed}.sqlite") as index:
        live_and_capture(history, s3, index, rng)
        if not index.states():
            return
        current = history.bucket.keys()
        plan = plan_and_keep_last_clean(s3, index, Location(history.bucket.name), rng)
        assert plan.refused == (), f"seed {seed}"
        prune_and_forget(s3, index, plan)
        left = {(version.key, version.version_id) for version in history.bucket}
        for info in plan.kept_states:
            assert {(entry.key, entry.version_id) for entry in index.entries(info)} <= left, f"seed {seed}"
        assert sorted(history.bucket.keys()) == sorted(current)
    for _ in range(2):
        found = proofs(audit_history(history))
        assert not found, f"seed {seed}\n" + "\n".join([*history.log, *map(str, found)])
        history.go_on(5)


@pytest.mark.parametrize("start", [0, *(pytest.param(start, marks=pytest.mark.slow) for start in range(10, 200, 10))])
def test_a_prune_leaves_no_proof_and_complete_states(start: int, tmp_path: Path) -> None:
    for seed in range(start, start + 10):
        check_prune(seed, tmp_path)


@pytest.mark.parametrize("start", [60, *(pytest.param(start, marks=pytest.mark.slow) for start in (0, 10, 90))])
def test_an_interrupted_prune_leaves_no_proof_and_the_next_one_does_the_rest(
    start: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(start, start + 10):
        check_interrupted_prune(seed, tmp_path, monkeypatch)
