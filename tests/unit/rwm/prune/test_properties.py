"""Prunes of random histories, executed while somebody writes: what they may never do."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from rwm.index import Index
from rwm.location import Location
from rwm.model import ObjectVersion, StateInfo
from rwm.prune import delete_batches, execute, plan_prune, prune_and_forget
from rwm.s3 import DeleteFailure
from rwm.states import capture_state
from rwm.states.current import current_at
from rwm.times import SECOND
from tests.unit.memory import MemoryS3
from tests.unit.rwm.verify.verify_setup import named

BUCKET = "bucket1"
KEYS = ("config", named("data", b"1"), named("keys", b"2"), f"locks/{'ab' * 32}", "notes", "notes/a", "z")

Pair = tuple[str, str]


class SharedS3(MemoryS3):
    """A bucket into which somebody writes before each request that deletes."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__(BUCKET)
        self.random = rng
        self.is_shared = False
        self.written: set[Pair] = set()
        self.expected: dict[str, str] = {}
        """The plain listing, as whoever writes expects it."""

    def delete_versions(self, bucket: str, exact: Sequence[Pair]) -> list[DeleteFailure]:
        if self.is_shared:
            self.write()
        return super().delete_versions(bucket, exact)

    def write(self) -> None:
        key = self.random.choice(KEYS)
        if self.random.random() < 0.5:
            self.expected[key] = self.put(BUCKET, key, b"new")
            self.written.add((key, self.expected[key]))
        elif key in self.expected:
            self.delete(BUCKET, key)
            del self.expected[key]

    def entries(self) -> dict[Pair, ObjectVersion]:
        return {(one.key, one.version_id): one for history in self.histories() for one in history}

    def histories(self) -> Iterator[list[ObjectVersion]]:
        return ([*history] for key, history in self.buckets[BUCKET].items() if key in KEYS and history)


def replaced_at(s3: SharedS3) -> dict[Pair, int]:
    """When each entry was replaced, or written if it is the newest."""
    return {
        (one.key, one.version_id): max(one.last_modified, newer.last_modified)
        for history in s3.histories()
        for newer, one in zip([history[0], *history], history, strict=False)
    }


def past(s3: SharedS3, states: Sequence[StateInfo]) -> dict[tuple[str, str], str]:
    """The version of each key that was current as of each state, as the bucket's history tells it."""
    found = {}
    for history in s3.histories():
        for info in states:
            entry = current_at(history, info.captured_at, born_later=False)
            if entry is not None:
                found[info.id, entry.key] = entry.version_id
    return found


def live(s3: SharedS3, index: Index, rng: random.Random) -> list[StateInfo]:
    """Let people write, delete and lock at random, and capture states between; the last one is of the end."""
    states = []
    for _ in range(rng.randint(2, 5)):
        for _ in range(rng.randint(2, 15)):
            key = rng.choice(KEYS)
            if rng.random() < 0.7:
                version = s3.put(BUCKET, key, rng.choice([b"1", b"22"]))
                if s3.object_lock and rng.random() < 0.2:
                    s3.locked[key, version] = "COMPLIANCE until 2030-01-01T00:00:00Z"
            elif key in s3.present(BUCKET):
                s3.delete(BUCKET, key)
            s3.now += rng.choice([0, 1, 7]) * SECOND
        s3.now += 2 * SECOND
        states.append(capture_state(s3, index, Location(BUCKET)))
        s3.now += 2 * SECOND
    return states


def check_prune(seed: int, directory: Path) -> int:
    """Check what a prune of a random history does; returns how many versions and markers it deleted."""
    rng = random.Random(seed)
    s3 = SharedS3(rng)
    s3.object_lock = rng.random() < 0.5
    min_age = rng.choice([0, 0, 5, 30]) * SECOND
    with Index.open(directory / f"{seed}.sqlite") as index:
        states = live(s3, index, rng)
        kept = [info for info in states[:-1] if rng.random() < 0.3] + states[-1:]
        plan = plan_prune(s3, index, Location(BUCKET), kept, min_age=min_age)
        if plan.refused:
            return 0
        before, replaced, planned_at = s3.entries(), replaced_at(s3), s3.now
        present = {key: version for key, version in s3.present(BUCKET).items() if key in KEYS}
        known = past(s3, kept)
        s3.expected, s3.is_shared = dict(present), True
        prune_and_forget(s3, index, plan)
        after = s3.entries()
        deleted = before.keys() - after.keys()
        needed = {(entry.key, entry.version_id) for info in kept for entry in index.entries(info)}
        assert not deleted & needed, "a kept state needs it"
        assert not deleted & {*present.items()}, "it is current"
        assert not deleted & s3.locked.keys()
        assert all(replaced[pair] < planned_at - min_age for pair in deleted), "it is too young"
        assert s3.written <= after.keys(), "the writer loses nothing"
        assert {key: version for key, version in s3.present(BUCKET).items() if key in KEYS} == s3.expected
        assert past(s3, kept) == known, "the past of a key under the kept states"
        return len(deleted)


@pytest.mark.parametrize("start", [0, *(pytest.param(start, marks=pytest.mark.slow) for start in (20, 40, 60))])
def test_a_prune_beside_a_writer(start: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execute, "DELETE_BATCH", 2)
    monkeypatch.setattr(delete_batches, "DELETE_BATCH", 2)
    monkeypatch.setattr(delete_batches, "THREADS", 1)  # so that a seed gives one history
    counts = [check_prune(seed, tmp_path) for seed in range(start, start + 20)]
    assert sum(count > 5 for count in counts) > 5, "many of them delete something"
