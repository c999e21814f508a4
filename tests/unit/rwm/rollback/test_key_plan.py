"""What one key needs: the plan makes the current content the wanted one, in the fewest requests, and is undone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwm.model import Entry, ObjectVersion, OperationChange
from rwm.rollback.key_plan import MAX_UNMARKED, KeyPlan, Mode, Problem, as_entry, plan_key, plan_undo_key

KEY = "data/ab"


class Bucket:
    """One key of a versioned bucket: its entries, newest first. Contents are numbers; 0 is a delete marker."""

    def __init__(self, contents: Sequence[int]) -> None:
        self.history: list[ObjectVersion] = []
        self.destroyed: list[ObjectVersion] = []
        self._count = 0
        for content in contents:
            self.write(content)

    def write(self, content: int, storage_class: str | None = None) -> ObjectVersion:
        self._count += 1
        etag = f"{content:032x}" if content else ""
        time = self._count * 1000
        entry = ObjectVersion(KEY, f"v{self._count}", True, not content, content, etag, time, storage_class)
        self.history.insert(0, entry)
        return self.history[0]

    @property
    def content(self) -> int:
        """The current content; 0 if there is none."""
        return self.history[0].size if self.history else 0

    def make(self, plan: KeyPlan) -> list[OperationChange]:
        """Make the changes; returns them as they are recorded."""
        done = []
        for change in plan.changes:
            if change.did == "copied":
                (source,) = [entry for entry in self.history if entry.version_id == change.source]
                done.append(change._replace(version_id=self.write(source.size).version_id))
            elif change.did == "marked":
                done.append(change._replace(version_id=self.write(0).version_id))
            else:
                (gone,) = [entry for entry in self.history if entry.version_id == change.version_id]
                assert gone.is_marker, "a version was destroyed"
                self.history.remove(gone)
                done.append(change)
        return done

    def versions(self) -> set[str]:
        """The ids of all versions."""
        return {entry.version_id for entry in self.history if not entry.is_marker}


contents = st.lists(st.integers(0, 3), max_size=6)


class Case(NamedTuple):
    """A key with a state in its past, or with a state that it never was in."""

    bucket: Bucket
    wanted: Entry | None


@st.composite
def cases(draw: st.DrawFn) -> Case:
    bucket = Bucket(draw(contents))
    versions = [as_entry(entry) for entry in bucket.history if not entry.is_marker]
    return Case(bucket, draw(st.sampled_from([None, *versions])))


@given(cases())
def test_a_roll_back_makes_the_content_the_wanted_one_and_destroys_nothing(case: Case) -> None:
    bucket, wanted = case
    before = bucket.versions()
    plan = plan_key(bucket.history, wanted)
    assert plan.problem is None
    bucket.make(plan)
    assert bucket.content == (wanted.size if wanted else 0)
    assert bucket.versions() >= before
    assert plan_key(bucket.history, wanted) == KeyPlan()  # what is done needs nothing more


@given(cases())
def test_it_needs_at_most_one_change_but_for_markers(case: Case) -> None:
    bucket, wanted = case
    plan = plan_key(bucket.history, wanted)
    kinds = {change.did for change in plan.changes}
    assert kinds == {"unmarked"} or len(plan.changes) <= 1
    is_right = bucket.content == (wanted.size if wanted else 0)
    assert bool(plan.changes) is not is_right


@given(cases(), st.integers(0, 20))
def test_what_was_made_of_a_roll_back_is_undone(case: Case, done: int) -> None:
    """Also a part of it, and after the undo of an undo."""
    bucket, wanted = case
    before = bucket.content
    plan = plan_key(bucket.history, wanted)
    if plan.changes and plan.changes[0].did == "unmarked" and done < len(plan.changes):
        done = 0  # markers of one key are removed in one request
    bucket.make(KeyPlan(plan.changes[:done]))
    after = bucket.content
    if plan.changes:
        undo = plan_undo_key(bucket.history, plan.changes)
        assert undo.problem is None
        bucket.make(undo)
        assert bucket.content == before
        if undo.changes:
            again = plan_undo_key(bucket.history, undo.changes)
            assert again.problem is None
            bucket.make(again)
            assert bucket.content == after


@given(cases(), st.integers(1, 9), st.booleans())
def test_a_writer_meanwhile_loses_nothing(case: Case, content: int, is_undo: bool) -> None:
    bucket, wanted = case
    plan = plan_key(bucket.history, wanted)
    if is_undo and plan.changes:
        bucket.make(plan)
        foreign = bucket.write(content)
        bucket.make(plan_undo_key(bucket.history, plan.changes))
    else:
        foreign = bucket.write(content)
        bucket.make(plan)
    assert foreign in bucket.history


@given(cases())
def test_an_undelete_only_removes_markers(case: Case) -> None:
    bucket, wanted = case
    before = list(bucket.history)
    plan = plan_key(bucket.history, wanted, "undelete")
    assert {change.did for change in plan.changes} <= {"unmarked"}
    bucket.make(plan)
    is_right = bucket.content == (wanted.size if wanted else 0)
    if plan.changes:
        assert is_right
    elif wanted is not None:
        assert is_right is (plan.problem is None)
    assert [entry for entry in before if not entry.is_marker] == [e for e in bucket.history if not e.is_marker]


def wanted_of(bucket: Bucket, version_id: str) -> Entry:
    return next(as_entry(entry) for entry in bucket.history if entry.version_id == version_id)


def test_markers_right_above_are_removed() -> None:
    bucket = Bucket([1, 0, 0])
    plan = plan_key(bucket.history, wanted_of(bucket, "v1"))
    assert plan.changes == (
        OperationChange("unmarked", KEY, "v3", "v1", at=3000),
        OperationChange("unmarked", KEY, "v2", "v1", at=2000),
    )


def test_an_overwritten_version_is_copied_with_its_class() -> None:
    bucket = Bucket([])
    bucket.write(1, "STANDARD_IA")
    bucket.write(2)
    bucket.write(0)
    plan = plan_key(bucket.history, wanted_of(bucket, "v1"))
    assert plan.changes == (OperationChange("copied", KEY, "", "v1", "v3", size=1, storage_class="STANDARD_IA"),)


def test_what_was_added_gets_a_marker() -> None:
    assert plan_key(Bucket([1]).history, None).changes == (OperationChange("marked", KEY, "", before="v1"),)
    assert plan_key(Bucket([1, 0]).history, None) == KeyPlan()
    assert plan_key([], None) == KeyPlan()


def test_very_many_markers_of_a_key_stay() -> None:
    bucket = Bucket([1] + [0] * MAX_UNMARKED)
    assert len(plan_key(bucket.history, wanted_of(bucket, "v1")).changes) == MAX_UNMARKED
    bucket.write(0)
    (change,) = plan_key(bucket.history, wanted_of(bucket, "v1")).changes
    assert change.did == "copied"
    assert len(plan_key(bucket.history, wanted_of(bucket, "v1"), "undelete").changes) == MAX_UNMARKED + 1


@pytest.mark.parametrize(
    ("contents", "mode", "problem"),
    [([2], "roll-back", Problem.GONE), ([1, 2], "undelete", Problem.OVERWRITTEN), ([], "roll-back", Problem.GONE)],
)
def test_problems(contents: list[int], mode: Mode, problem: Problem) -> None:
    wanted = Entry(KEY, "v1", 1, f"{1:032x}", 1000)
    assert plan_key(Bucket(contents).history, wanted, mode) == KeyPlan(problem=problem)


def test_an_archived_version_is_not_copied_but_undeleted() -> None:
    bucket = Bucket([])
    bucket.write(1, "GLACIER")
    bucket.write(0)
    assert [each.did for each in plan_key(bucket.history, wanted_of(bucket, "v1")).changes] == ["unmarked"]
    bucket.write(2)
    assert plan_key(bucket.history, wanted_of(bucket, "v1")).problem is Problem.ARCHIVED


def test_a_version_that_is_gone_is_copied_from_one_with_the_same_content() -> None:
    bucket = Bucket([1, 1, 2])
    wanted = wanted_of(bucket, "v1")
    bucket.history.pop()
    (change,) = plan_key(bucket.history, wanted).changes
    assert change.source == "v2"


def test_the_wanted_version_itself_is_copied_if_it_is_there() -> None:
    bucket = Bucket([1, 2, 1, 2])
    (change,) = plan_key(bucket.history, wanted_of(bucket, "v1")).changes
    assert change.source == "v1"


def test_markers_above_another_version_with_the_same_content_are_removed() -> None:
    bucket = Bucket([1, 2, 1, 0])
    (change,) = plan_key(bucket.history, wanted_of(bucket, "v1")).changes
    assert (change.did, change.source) == ("unmarked", "v3")


def test_a_marker_is_never_the_wanted_version() -> None:
    bucket = Bucket([2, 0])
    assert plan_key(bucket.history, Entry(KEY, "v9", 0, "", 0)).problem is Problem.GONE


def test_a_null_version_that_was_replaced_is_not_the_wanted_one() -> None:
    bucket = Bucket([2])
    replaced = bucket.history[0]._replace(version_id="null")
    assert plan_key([replaced], Entry(KEY, "null", 1, f"{1:032x}", 500)).problem is Problem.GONE


def test_a_copy_with_another_etag_is_known_by_its_record() -> None:
    bucket = Bucket([1, 2])
    wanted = wanted_of(bucket, "v1")
    copy = bucket.write(1)._replace(etag="parts-2")
    history = [copy, *bucket.history[1:]]
    assert plan_key(history, wanted).changes
    assert plan_key(history, wanted, "roll-back", lambda version, entry: version.version_id == "v3") == KeyPlan()


def test_a_roll_back_that_was_undone_and_made_again_is_undone_again() -> None:
    """The copies of the first time lie between what was there before and what is there now."""
    bucket = Bucket([1, 2])
    plan = plan_key(bucket.history, wanted_of(bucket, "v1"))
    for _ in range(3):
        bucket.make(plan)
        assert bucket.content == 1
        bucket.make(plan_undo_key(bucket.history, plan.changes))
        assert bucket.content == 2


def test_what_somebody_wrote_since_is_not_undone() -> None:
    for before in ([1], [1, 0], [1, 2]):
        bucket = Bucket(before)
        plan = plan_key(bucket.history, None if before == [1] else wanted_of(bucket, "v1"))
        bucket.make(plan)
        bucket.write(7)
        assert plan_undo_key(bucket.history, plan.changes) == KeyPlan(problem=Problem.CHANGED), before


def test_what_is_gone_since_cannot_be_undone() -> None:
    bucket = Bucket([1, 2])
    plan = plan_key(bucket.history, wanted_of(bucket, "v1"))
    bucket.make(plan)
    bucket.history = [entry for entry in bucket.history if entry.size != 2]
    assert plan_undo_key(bucket.history, plan.changes).problem is Problem.GONE
    assert plan_undo_key([], plan.changes).problem is Problem.GONE
