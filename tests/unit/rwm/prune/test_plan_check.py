"""Execution of a stored plan after others have changed the bucket and the index."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from rwm.errors import Refused
from rwm.index import Index
from rwm.location import Location
from rwm.model import StateInfo
from rwm.prune import PrunePlan, plan_again, plan_prune, prune_and_forget
from rwm.prune.deletion_spool import BLOCK, DeletionSpool
from rwm.prune.key_plan import Deletion
from rwm.prune.plan_check import PlanCheck
from rwm.prune.stages import Stage
from rwm.prune.stored_plan import StoredPlan, read_plan, write_plan
from rwm.states.capture import capture_state
from rwm.times import SECOND
from rwm.trust import audit_location
from tests.unit.memory import MemoryS3

BUCKET = "bucket1"
LOCATION = Location(BUCKET)
KEYS = ("notes", "host/a", "host/b", "host/c")
Exact = set[tuple[str, str]]


class Scene:
    """A bucket with states, a stored plan, and what happens afterwards."""

    def __init__(self, index: Index, directory: Path, seed: int) -> None:
        self.s3, self.index = MemoryS3(BUCKET), index
        self.s3.object_lock = True
        self.rng = random.Random(seed)
        self.states: list[StateInfo] = []
        self._path = directory / "plan"
        for key in (*KEYS, "kept"):
            self.s3.put(BUCKET, key, b"1")
        self.live(12)
        self.capture()
        self.live(6)

    def live(self, events: int) -> None:
        for _ in range(events):
            self.s3.now += 2 * SECOND
            key = self.rng.choice(KEYS)
            if self.rng.random() < 0.3:
                self.s3.delete(BUCKET, key)
            else:
                self.s3.put(BUCKET, key, b"12")
            if self.rng.random() < 0.2:
                self.capture()
        self.s3.now += 2 * SECOND

    def capture(self, at: int | None = None) -> None:
        self.s3.now += 2 * SECOND
        origin = "capture" if at is None else "past"
        self.states.append(capture_state(self.s3, self.index, LOCATION, at=at, origin=origin))  # type: ignore[arg-type]

    def store(self) -> Exact:
        """Write a plan that keeps the newest state; what it deletes."""
        newest = max(self.states, key=lambda info: info.captured_at)
        plan = plan_prune(self.s3, self.index, LOCATION, [newest])
        with self._path.open("wb") as file:
            write_plan(plan, [info.id for info in self.index.states(LOCATION)], file, force=False)
        assert not plan.refused
        return exact(plan)

    def stored(self) -> StoredPlan:
        return read_plan(self._path, LOCATION)

    def again(self) -> PrunePlan:
        return plan_again(self.s3, self.index, self.stored(), audit_location(self.s3, LOCATION))

    def present(self) -> Exact:
        return {(entry.key, entry.version_id) for entry in self.s3.versions(BUCKET)}

    def needed(self, states: list[StateInfo]) -> Exact:
        """What is current or in these states, and still there."""
        entries = [entry for info in states for entry in self.index.entries(info)]
        found = {(entry.key, entry.version_id) for entry in entries}
        return (found | set(self.s3.present(BUCKET).items())) & self.present()


def exact(plan: PrunePlan) -> Exact:
    return {(item.key, item.version_id) for item in (*plan.versions, *plan.markers)}


def undelete(scene: Scene) -> None:
    """Remove a delete marker, so that an old version is current again."""
    for key in KEYS:
        newest = scene.s3.buckets[BUCKET][key][0]
        if newest.is_marker:
            scene.s3.remove(BUCKET, key, newest.version_id)


def lock(scene: Scene) -> None:
    entry = scene.rng.choice([entry for entry in scene.s3.versions(BUCKET) if not entry.is_marker])
    scene.s3.locked[entry.key, entry.version_id] = "legal hold"


def record_the_past(scene: Scene) -> None:
    scene.capture(scene.s3.now - scene.rng.randrange(4, 40) * SECOND)


def interrupt(scene: Scene) -> None:
    """A part of the plan is executed already."""
    stored = scene.stored().deletions
    for item in [*stored.versions, *stored.markers][: scene.rng.randrange(5)]:
        scene.s3.remove(BUCKET, item.key, item.version_id)


EVENTS: tuple[Callable[[Scene], None], ...] = (
    lambda scene: scene.live(5),
    undelete,
    lock,
    record_the_past,
    interrupt,
    lambda scene: scene.capture(),
)


@pytest.mark.parametrize("seed", [*range(12), *(pytest.param(n, marks=pytest.mark.slow) for n in range(12, 60))])
def test_a_stored_plan_deletes_nothing_that_is_needed_by_then(seed: int, tmp_path: Path) -> None:
    with Index.open(tmp_path / "index.sqlite") as index:
        scene = Scene(index, tmp_path, seed)
        planned = scene.store()
        known = {info.id for info in index.states(LOCATION)}
        for event in scene.rng.sample(EVENTS, scene.rng.randint(0, 3)):
            event(scene)
        before, current = scene.present(), scene.s3.present(BUCKET)
        recorded = [info for info in index.states(LOCATION) if info.id not in known]
        newest = max((info for info in scene.states if info.id in known), key=lambda info: info.captured_at)
        needed = scene.needed([*recorded, newest])
        try:
            plan = scene.again()
        except Refused as error:
            assert planned & needed, error.message
            return
        assert not planned & needed
        assert exact(plan) <= planned
        prune_and_forget(scene.s3, index, plan)
        left = scene.present()
        assert (needed | scene.s3.locked.keys()) & before <= left
        assert before - left <= exact(plan)
        assert before - left == exact(plan) or exact(plan) & scene.s3.locked.keys()
        assert scene.s3.present(BUCKET) == current


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(Index.open(tmp_path / "index.sqlite"), tmp_path, 3)


def test_the_same_plan_again_does_the_rest(scene: Scene) -> None:
    planned = scene.store()
    gone = sorted(planned)[::2]
    for key, version_id in gone:
        if not next(e for e in scene.s3.buckets[BUCKET][key] if e.version_id == version_id).is_marker:
            scene.s3.remove(BUCKET, key, version_id)
    rest = scene.again()
    assert exact(rest) == planned & scene.present()
    prune_and_forget(scene.s3, scene.index, rest)
    assert not planned & scene.present()
    assert not exact(scene.again())


def test_a_plan_whose_kept_state_is_gone_is_refused(scene: Scene) -> None:
    scene.store()
    scene.index.forget(scene.states)
    with pytest.raises(Refused, match="1 of the states that it keeps are not in the index any more"):
        scene.again()


def test_states_that_the_plan_did_not_keep_are_not_kept_now(scene: Scene) -> None:
    """Also such as lose nothing to it; but those that were recorded since."""
    scene.capture()
    scene.capture()
    scene.store()
    newest = scene.states[-1]
    assert scene.states[-2].id in scene.stored().other_states
    assert [info.id for info in scene.again().kept_states] == [newest.id]
    scene.capture()
    assert [info.id for info in scene.again().kept_states] == [newest.id, scene.states[-1].id]


def test_a_version_that_is_current_again_is_named(scene: Scene) -> None:
    scene.s3.put(BUCKET, "gone", b"1")
    scene.s3.delete(BUCKET, "gone")
    scene.s3.now += 2 * SECOND
    scene.capture()
    scene.store()
    marker, version = scene.s3.buckets[BUCKET]["gone"]
    scene.s3.remove(BUCKET, "gone", marker.version_id)
    with pytest.raises(Refused, match=f"1 of its versions must stay now: gone version {version.version_id}"):
        scene.again()


def test_what_was_too_young_for_the_plan_stays(scene: Scene) -> None:
    planned = scene.store()
    scene.s3.now += 10 * SECOND
    scene.s3.put(BUCKET, KEYS[0], b"another")  # its predecessor is noncurrent now
    scene.s3.now += 1000 * SECOND
    assert exact(scene.again()) <= planned


def test_partitions_compare_many_deletions() -> None:
    spool = DeletionSpool()
    items = [Deletion(f"k{n}", f"v{n}", n) for n in range(40 * BLOCK)]
    spool.add(Stage.VERSIONS, items)
    check = PlanCheck(spool.finish())
    fresh = DeletionSpool()
    fresh.add(Stage.VERSIONS, items[::3])
    fresh.add(Stage.MARKERS, [Deletion("other", "v1", 0)])
    fresh.finish()
    chosen, staying = check.compare(fresh)
    assert list(check.read(chosen)) == items[::3]
    assert not list(check.read(staying))
    spool.select(chosen)
    assert sorted(item for _, item in spool.read_interleaved(Stage.VERSIONS, 250)) == sorted(items[::3])
    assert (spool.count(Stage.VERSIONS), spool.size) == (len(items[::3]), sum(item.size for item in items[::3]))
