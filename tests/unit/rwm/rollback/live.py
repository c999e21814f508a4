"""A bucket in memory that is rolled back, as the commands do it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from rwm.index import Index
from rwm.location import Location
from rwm.model import OperationChange, StateInfo
from rwm.operations import begin_operation, new_operation
from rwm.rollback import (
    Comparison,
    Mode,
    RollbackPlan,
    RollbackResult,
    compare_afterwards,
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

    def execute(self, plan: RollbackPlan, *, beside_writers: bool = False) -> tuple[Path, RollbackResult]:
        operation = new_operation(self.s3, plan.kind, plan.location, plan.note)
        path = undo_path(self.index.path, operation)
        write_undo_file(path, operation, plan)
        with begin_operation(self.s3, self.index, operation, plan.spool) as log:
            return path, execute_plan(self.s3, plan, log, beside_writers=beside_writers)

    def roll_back_and_compare(
        self, info: StateInfo, *, beside_writers: bool = False
    ) -> tuple[Path, RollbackResult, Comparison]:
        with self.plan(info) as plan:
            path, result = self.execute(plan, beside_writers=beside_writers)
        last = self.index.operations.recorded(BUCKET)[-1]
        made = [change for _, change in self.index.operations.changes(HERE, last.id)]
        comparison = compare_afterwards(made, lambda watch: plan_rollback(self.s3, self.index, info, watch=watch))
        return path, result, comparison

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
            if left == 0:
                markers(bucket, keys[: len(keys) // 2 + 1])
                raise Killed
            return markers(bucket, keys)

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
