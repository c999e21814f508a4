"""Somebody writes at any moment of a roll back: no version is lost, all of it is told, a second run repairs it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rwm.model import ObjectVersion
from rwm.rollback import Problem, complete_interrupted, open_undo_file, plan_undo
from tests.unit.rwm.rollback.live import BUCKET, HERE, KEYS, Killed, Live

CALLS = ("newest", "copy_back", "put_markers", "put_marker_over", "delete_versions")


class Writer:
    """A machine that writes before and after the calls of these numbers. ``written`` are its versions, by key."""

    def __init__(self, live: Live, moments: dict[int, list[tuple[str, bool]]], patch: pytest.MonkeyPatch) -> None:
        self._live = live
        self._moments = moments
        self._now = 0
        self._inside = False
        self.written: list[tuple[str, str]] = []
        for name in CALLS:
            patch.setattr(live.s3, name, self._beside(getattr(live.s3, name)))
        patch.setattr("rwm.rollback.execute.THREADS", 1)

    def _beside(self, call: Callable[..., object]) -> Callable[..., object]:
        def wrapper(*arguments: object, **options: object) -> object:
            if self._inside:
                return call(*arguments, **options)
            self._write()
            self._inside = True
            try:
                return call(*arguments, **options)
            finally:
                self._inside = False
                self._write()

        return wrapper

    def _write(self) -> None:
        s3, account = self._live.s3, self._live.s3.account
        s3.account, s3.now = "user1", s3.now + 10
        for key, is_removal in self._moments.get(self._now, ()):
            newest = s3.buckets[BUCKET].get(key, [])[:1]
            if is_removal and newest and not newest[0].is_marker:
                s3.delete(BUCKET, key)
            elif not is_removal:
                self.written.append((key, s3.put(BUCKET, key, f"written at {self._now}".encode())))
        s3.account, self._now = account, self._now + 1


def admin_above(live: Live, key: str, version_id: str) -> bool:
    """Whether the admin wrote right above a version."""
    history = live.s3.buckets[BUCKET][key]
    position = next(n for n, entry in enumerate(history) if entry.version_id == version_id)
    return any(live.s3.writers[entry.version_id] == live.s3.owner for entry in history[:position])


MOMENTS = st.dictionaries(
    st.integers(0, 80), st.lists(st.tuples(st.sampled_from(KEYS), st.booleans()), min_size=1, max_size=3), max_size=12
)


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), moments=MOMENTS, looks=st.booleans(), knows_conditions=st.booleans())
def test_an_interleaving_writer_loses_nothing(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    moments: dict[int, list[tuple[str, bool]]],
    looks: bool,
    knows_conditions: bool,
) -> None:
    live = Live(tmp_path_factory.mktemp("live"), seed)
    live.s3.knows_conditions = knows_conditions
    live.work(40)
    info, good = live.capture(), live.contents(locks=False)
    live.work(40)
    bad, versions = live.contents(), live.versions()
    with pytest.MonkeyPatch.context() as patch:
        writer = Writer(live, moments, patch)
        first, result, comparison = live.roll_back_and_compare(info, beside_writers=looks)
    assert versions | set(writer.written) <= live.versions(), "no version is lost"

    with live.plan(info) as plan:
        left = {change.key for change in plan.spool}
    failed = {key for key, _ in result.failures}
    assert comparison.left == len(left)
    assert failed <= {key for changes in moments.values() for key, _ in changes}
    hidden = {(key, version) for key, version in writer.written if admin_above(live, key, version)}
    assert hidden <= set(comparison.named), "what was hidden is told"
    if looks and knows_conditions:
        assert not hidden, "what was written is left alone"
    recorded = {(change.key, change.version_id) for change in live.recorded() if change.did != "unmarked"}
    assert live.written_by_admin() <= recorded

    second, _ = live.roll_back(info)
    assert live.contents(locks=False) == good, "a second run repairs it"
    touched = {key for key, _ in writer.written} | {key for changes in moments.values() for key, _ in changes}
    for file in (second, first):
        problems = undo(live, file)
        assert {problem for _, problem in problems} <= {Problem.CHANGED}
        assert {key for key, _ in problems} <= touched
    assert {key: body for key, body in live.contents().items() if key not in touched} == {
        key: body for key, body in bad.items() if key not in touched
    }
    assert versions | set(writer.written) <= live.versions()
    live.index.close()


def undo(live: Live, path: Path) -> list[tuple[str, Problem]]:
    file, record = open_undo_file(path)
    with file, plan_undo(live.s3, live.index, record) as plan:
        if plan.changes:
            live.execute(plan)
        return plan.named


@settings(max_examples=10)
@given(seed=st.integers(0, 1000), moments=MOMENTS, requests=st.integers(0, 8))
def test_a_kill_beside_a_writer_leaves_nothing_of_ours_unrecorded(
    tmp_path_factory: pytest.TempPathFactory, seed: int, moments: dict[int, list[tuple[str, bool]]], requests: int
) -> None:
    live = Live(tmp_path_factory.mktemp("live"), seed)
    live.work(40)
    info = live.capture()
    live.work(40)
    with pytest.MonkeyPatch.context() as patch:
        live.kill_after(requests, patch)
        Writer(live, moments, patch)
        try:
            live.roll_back(info)
        except Killed:
            complete_interrupted(live.s3, live.index, HERE)
            recorded = Counter((change.key, change.version_id) for change in live.recorded())
            assert live.written_by_admin() <= recorded.keys()
            assert set(recorded.values()) <= {1}
    live.index.close()


def test_what_is_hidden_is_named(live: Live) -> None:
    live.s3.put(BUCKET, "a", b"good")
    info = live.capture()
    live.s3.put(BUCKET, "a", b"bad")
    with pytest.MonkeyPatch.context() as patch:
        writer = Writer(live, {0: [("a", False)]}, patch)
        path, _, comparison = live.roll_back_and_compare(info)
    assert (comparison.left, comparison.hidden, comparison.named) == (0, 1, writer.written)
    assert live.contents() == {"a": b"good"}
    assert undo(live, path) == [("a", Problem.CHANGED)], "an undo would hide it once more"


def test_a_key_that_was_written_since_the_plan_is_left_as_it_is(live: Live) -> None:
    for key in ("a", "b"):
        live.s3.put(BUCKET, key, b"good")
    info = live.capture()
    for key in ("a", "b", "new"):
        live.s3.put(BUCKET, key, b"bad")
    with pytest.MonkeyPatch.context() as patch:
        Writer(live, {0: [("a", False), ("new", False)]}, patch)
        _, result, comparison = live.roll_back_and_compare(info, beside_writers=True)
    assert sorted(result.failures) == [(key, "it was written since the plan was made") for key in ("a", "new")]
    assert (comparison.left, comparison.hidden) == (2, 0)
    live.roll_back(info)
    assert live.contents() == {"a": b"good", "b": b"good"}


def test_a_key_of_which_nothing_is_left_since_the_plan_gets_no_marker(live: Live) -> None:
    info = live.capture()
    live.s3.put(BUCKET, "new", b"bad")
    with live.plan(info) as plan:
        live.s3.remove(BUCKET, "new", live.s3.present(BUCKET)["new"])
        _, result = live.execute(plan, beside_writers=True)
    assert result.failures == [("new", "it was written since the plan was made")]


def test_the_newest_entry_of_a_key_may_be_a_marker(live: Live) -> None:
    live.s3.put(BUCKET, "a", b"1")
    live.s3.put(BUCKET, "a/b", b"1")
    live.s3.delete(BUCKET, "a")
    newest = live.s3.newest(BUCKET, "a")
    assert isinstance(newest, ObjectVersion)
    assert newest.is_marker
    assert live.s3.newest(BUCKET, "absent") is None


def test_a_copy_over_what_was_just_written_is_recorded_after_a_kill(live: Live) -> None:
    for key in ("a", "b"):
        live.s3.put(BUCKET, key, b"good")
    info = live.capture()
    for key in ("a", "b"):
        live.s3.put(BUCKET, key, b"bad")
    live.s3.account = live.s3.owner
    with pytest.MonkeyPatch.context() as patch:
        live.kill_after(1, patch)
        Writer(live, {0: [("a", False)]}, patch)
        with pytest.raises(Killed):
            live.roll_back(info)
    complete_interrupted(live.s3, live.index, HERE)
    assert live.contents()["a"] == b"good"
    assert {(change.key, change.version_id) for change in live.recorded()} == live.written_by_admin()
