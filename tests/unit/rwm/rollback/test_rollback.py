"""Whole buckets: rolled back, undone, killed in between and continued; the records name exactly what RWM did."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from rwm.errors import AccessDenied, Archived
from rwm.index import Index
from rwm.location import Location
from rwm.model import OperationChange, StateInfo
from rwm.operations import begin_operation, new_operation
from rwm.rollback import (
    Mode,
    Problem,
    RollbackPlan,
    RollbackResult,
    complete_interrupted,
    execute_plan,
    open_undo_file,
    plan_rollback,
    plan_undo,
    undo_path,
    write_undo_file,
)
from rwm.s3 import DeleteFailure
from rwm.states import capture_state
from tests.unit.memory import MemoryS3

BUCKET = "bucket1"
HERE = Location(BUCKET)
KEYS = [
    "config",
    "a\nb",
    *(f"{kind}/{name}" for kind in ("keys", "index", "snapshots", "locks", "data/ab", "x//") for name in "12"),
]


class Killed(BaseException):
    """The process ends."""


class Live:
    """A bucket that is rolled back, as the commands do it."""

    def __init__(self, directory: Path, seed: int = 0) -> None:
        self.s3 = MemoryS3(BUCKET)
        self.index = Index.open(directory / "index" / "index.sqlite")
        self.random = random.Random(seed)

    def work(self, steps: int) -> None:
        """Let a machine write and delete at random."""
        self.s3.account = "user1"
        for _ in range(steps):
            self.s3.now += 1000
            key = self.random.choice(KEYS)
            if self.random.random() < 0.4:
                self.s3.delete(BUCKET, key)
            else:
                self.s3.put(BUCKET, key, self.random.choice([b"one", b"two", b"three"]))
        self.s3.now += 2000
        self.s3.account = self.s3.owner

    def capture(self) -> StateInfo:
        info = capture_state(self.s3, self.index, HERE)
        self.s3.now += 5000
        return info

    def contents(self, *, locks: bool = True) -> dict[str, bytes]:
        present = self.s3.present(BUCKET)
        own = ("rwm/",) if locks else ("rwm/", "locks/")
        return {key: self.s3.bodies[version] for key, version in present.items() if not key.startswith(own)}

    def versions(self) -> set[tuple[str, str]]:
        return {(each.key, each.version_id) for each in self.s3.versions(BUCKET) if not each.is_marker}

    def plan(self, info: StateInfo, mode: Mode = "roll-back", prefix: str = "") -> RollbackPlan:
        return plan_rollback(self.s3, self.index, info, prefix, mode)

    def execute(self, plan: RollbackPlan) -> tuple[Path, RollbackResult]:
        operation = new_operation(self.s3, plan.kind, plan.location, plan.note)
        path = undo_path(self.index.path, operation)
        write_undo_file(path, operation, plan)
        with begin_operation(self.s3, self.index, operation, plan.spool) as log:
            return path, execute_plan(self.s3, plan, log)

    def roll_back(self, info: StateInfo, mode: Mode = "roll-back") -> tuple[Path, RollbackResult]:
        with self.plan(info, mode) as plan:
            return self.execute(plan)

    def undo(self, path: Path) -> tuple[Path, RollbackResult]:
        file, record = open_undo_file(path)
        with file, plan_undo(self.s3, self.index, record) as plan:
            assert not plan.problems
            return self.execute(plan)

    def kill_after(self, requests: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """End the process at the request of that number, done or not, without recording anything more."""
        left = requests

        def count() -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed

        copy, markers, delete = self.s3.copy_back, self.s3.put_markers, self.s3.delete_versions

        def copy_back(*arguments: str | int) -> str:
            count()
            return copy(*arguments)  # type: ignore[arg-type]

        def put_markers(bucket: str, keys: Sequence[str]) -> tuple[dict[str, str], list[DeleteFailure]]:
            count()
            return markers(bucket, keys[: len(keys) // 2 + 1] if left == 0 else keys)

        def delete_versions(bucket: str, exact: Sequence[tuple[str, str]]) -> list[DeleteFailure]:
            count()
            return delete(bucket, exact)

        monkeypatch.setattr(self.s3, "copy_back", copy_back)
        monkeypatch.setattr(self.s3, "put_markers", put_markers)
        monkeypatch.setattr(self.s3, "delete_versions", delete_versions)
        monkeypatch.setattr("rwm.rollback.execute._Outcomes.record", lambda self: None)
        monkeypatch.setattr("rwm.rollback.execute.THREADS", 1)

    def written_by_admin(self) -> set[tuple[str, str]]:
        return {
            (each.key, each.version_id)
            for each in self.s3.versions(BUCKET)
            if self.s3.writers[each.version_id] == self.s3.owner and not each.key.startswith("rwm/")
        }

    def recorded(self) -> list[OperationChange]:
        return [change for _, change in self.index.operations.changes(HERE)]


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    live = Live(tmp_path)
    with closing(live.index):
        yield live


@pytest.mark.parametrize("seed", range(8))
def test_a_roll_back_equals_the_state_and_is_undone(tmp_path: Path, seed: int) -> None:
    live = Live(tmp_path, seed)
    live.work(60)
    info, good = live.capture(), live.contents(locks=False)
    live.work(60)
    bad, versions = live.contents(), live.versions()
    path, result = live.roll_back(info)
    assert result.failures == []
    rolled_back = live.contents()
    assert live.contents(locks=False) == good
    assert versions <= live.versions()
    with live.plan(info) as plan:
        assert (plan.changes, plan.problems.total()) == (0, 0)
    back, _ = live.undo(path)
    assert live.contents() == bad
    live.undo(back)
    assert live.contents() == rolled_back
    assert versions <= live.versions()
    remaining = {(change.key, change.version_id) for change in live.recorded() if change.did != "unmarked"}
    assert live.written_by_admin() <= remaining
    live.index.close()


@pytest.mark.parametrize("requests", range(7))
def test_after_a_kill_the_same_command_does_the_rest_and_the_record_is_completed(tmp_path: Path, requests: int) -> None:
    live = Live(tmp_path, requests)
    live.work(60)
    info, good = live.capture(), live.contents(locks=False)
    live.work(60)
    bad = live.contents()
    removed = len([each for each in live.s3.versions(BUCKET) if each.is_marker])
    with pytest.MonkeyPatch.context() as patch:
        live.kill_after(requests, patch)
        with pytest.raises(Killed):
            live.roll_back(info)
    assert live.recorded() == []
    (operation,) = complete_interrupted(live.s3, live.index, HERE)
    marked = {(change.key, change.version_id) for change in live.recorded() if change.did != "unmarked"}
    assert marked == live.written_by_admin()
    gone = sum(change.did == "unmarked" for change in live.recorded())
    put = sum(change.did == "marked" for change in live.recorded())
    assert len([each for each in live.s3.versions(BUCKET) if each.is_marker]) == removed - gone + put
    assert complete_interrupted(live.s3, live.index, HERE) == []
    second, _ = live.roll_back(info)
    assert live.contents(locks=False) == good
    first = undo_path(live.index.path, operation)
    live.undo(second)
    live.undo(first)
    assert live.contents() == bad
    live.index.close()


def test_only_the_location_is_changed(live: Live) -> None:
    for key in ("host1/config", "host2/config"):
        live.s3.put(BUCKET, key, b"good")
    info = live.capture()
    for key in ("host1/config", "host2/config"):
        live.s3.put(BUCKET, key, b"bad")
    with live.plan(info, prefix="host1/") as plan:
        live.execute(plan)
    assert live.contents() == {"host1/config": b"good", "host2/config": b"bad"}


def test_locks_are_not_brought_back_and_new_ones_go(live: Live) -> None:
    live.s3.put(BUCKET, "locks/held", b"1")
    live.s3.put(BUCKET, "locks/stays", b"1")
    info = live.capture()
    live.s3.delete(BUCKET, "locks/held")
    live.s3.put(BUCKET, "locks/new", b"1")
    with live.plan(info) as plan:
        assert (plan.locks, plan.changes) == (1, 1)
        live.execute(plan)
    assert live.contents() == {"locks/stays": b"1"}


def test_an_undelete_leaves_what_was_overwritten_or_added(live: Live) -> None:
    for key in ("deleted", "overwritten"):
        live.s3.put(BUCKET, key, b"good")
    info = live.capture()
    live.s3.delete(BUCKET, "deleted")
    live.s3.put(BUCKET, "overwritten", b"bad")
    live.s3.put(BUCKET, "added", b"bad")
    with live.plan(info, "undelete") as plan:
        assert dict(plan.problems) == {Problem.OVERWRITTEN: 1}
        live.execute(plan)
    assert live.contents() == {"deleted": b"good", "overwritten": b"bad", "added": b"bad"}


def test_what_cannot_be_brought_back_is_counted_and_the_rest_is_done(live: Live) -> None:
    for key in ("archived", "gone", "here"):
        live.s3.put(BUCKET, key, b"good")
    info = live.capture()
    live.s3.archive(BUCKET, "archived")
    live.s3.buckets[BUCKET].pop("gone")
    for key in ("archived", "here"):
        live.s3.put(BUCKET, key, b"bad")
    with live.plan(info) as plan:
        assert plan.named == [("archived", Problem.ARCHIVED), ("gone", Problem.GONE)]
        live.execute(plan)
    assert live.contents() == {"archived": b"bad", "here": b"good"}


def test_a_change_that_fails_is_reported_and_the_others_are_made(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("a", "b", "c"):
        live.s3.put(BUCKET, key, b"good")
    info = live.capture()
    for key in ("a", "b", "c", "new1", "new2"):
        live.s3.put(BUCKET, key, b"bad")
    copy = live.s3.copy_back

    def copy_back(bucket: str, key: str, *rest: str) -> str:
        if key == "b":
            raise Archived("CopyObject b: archived")
        return copy(bucket, key, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(live.s3, "copy_back", copy_back)
    live.s3.stuck["new1", ""] = "InternalError"
    _, result = live.roll_back(info)
    assert sorted(result.failures) == [("b", "CopyObject b: archived"), ("new1", "InternalError")]
    assert live.contents() == {"a": b"good", "b": b"bad", "c": b"good", "new1": b"bad"}
    assert (result.copies, result.marked) == (2, 1)


@pytest.mark.parametrize(("count", "tried"), [(3, 3), (200, 80)])
def test_an_account_that_may_not_copy_ends_it_early(
    live: Live, monkeypatch: pytest.MonkeyPatch, count: int, tried: int
) -> None:
    keys = [f"data/{number}" for number in range(count)]
    for key in keys:
        live.s3.put(BUCKET, key, b"good")
    info = live.capture()
    for key in keys:
        live.s3.put(BUCKET, key, b"bad")
    requests = []

    def denied(bucket: str, key: str, *_: object) -> str:
        requests.append(key)
        raise AccessDenied("CopyObject: AccessDenied")

    monkeypatch.setattr(live.s3, "copy_back", denied)
    with pytest.raises(AccessDenied):
        live.roll_back(info)
    assert len(requests) <= tried


def test_a_copy_that_is_denied_is_one_failure(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("a", "b"):
        live.s3.put(BUCKET, key, b"good")
    info = live.capture()
    for key in ("a", "b"):
        live.s3.put(BUCKET, key, b"bad")
    live.s3.denied.add("a")
    _, result = live.roll_back(info)
    assert [key for key, _ in result.failures] == ["a"]
    assert result.copies == 1


def test_snapshots_come_last_and_go_first(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = ("snapshots/1", "index/1", "data/aa/1", "config", "keys/1")
    for key in kinds:
        live.s3.put(BUCKET, key, b"good")
    info = live.capture()
    for key in kinds:
        live.s3.put(BUCKET, key, b"bad")
        live.s3.put(BUCKET, key.replace("1", "2") + "x", b"bad")
    with live.plan(info) as plan:
        order = [(change.did, change.key) for change in plan.spool]
    copied = [key for did, key in order if did == "copied"]
    marked = [key for did, key in order if did == "marked"]
    assert copied == ["config", "data/aa/1", "keys/1", "index/1", "snapshots/1"]
    assert marked == ["snapshots/2x", "index/2x", "configx", "data/aa/2x", "keys/2x"]
    assert order.index(("marked", "snapshots/2x")) > order.index(("copied", "snapshots/1"))


def test_the_undo_file_is_private_and_never_replaced(live: Live) -> None:
    live.s3.put(BUCKET, "a", b"good")
    info = live.capture()
    live.s3.put(BUCKET, "a", b"bad")
    path, _ = live.roll_back(info)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    with live.plan(info) as plan, pytest.raises(Exception, match="File exists"):
        write_undo_file(path, new_operation(live.s3, "undo", HERE), plan)
