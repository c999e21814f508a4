"""Prune: a plan never touches what is needed, and executing any part of it never changes what is present."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwm.errors import StateNotFound, Unreachable, UsageError
from rwm.index import Index
from rwm.model import ObjectVersion, StateInfo
from rwm.retention.prune import (
    CHUNK,
    Deletion,
    PrunePlan,
    execute_prune,
    plan_key,
    plan_prune,
    select_kept_states,
    spread,
)
from rwm.s3 import DeleteFailure
from rwm.states.capture import capture_state
from rwm.times import SECOND
from tests.unit.memory import MemoryS3

BUCKET = "bucket1"
NEVER = 1 << 62


def history(*entries: str) -> list[ObjectVersion]:
    """Newest first: ``v3@30`` is a version written at 30, ``m2@20`` a marker; without a time it is 0."""
    found = []
    for place, text in enumerate(entries):
        name, _, time = text.partition("@")
        marker = name.startswith("m")
        found.append(ObjectVersion("k", name, place == 0, marker, 0 if marker else 10, "", int(time or 0)))
    return found


def deletes(*entries: str, kept: str = "", cutoff: int = NEVER, locked: str = "") -> tuple[list[str], list[str]]:
    """Version ids that a plan for these entries deletes: versions, markers."""
    found = plan_key(history(*entries), set(kept.split()), cutoff, lambda doomed: doomed.version_id in locked.split())
    return [doomed.version_id for doomed in found.versions], [doomed.version_id for doomed in found.markers]


class TestOneKey:
    def test_what_is_present_stays_and_what_is_noncurrent_goes(self) -> None:
        assert deletes("v1") == ([], [])
        assert deletes("v3", "v2", "v1") == (["v1", "v2"], [])

    def test_what_a_kept_state_references_stays(self) -> None:
        assert deletes("v3", "v2", "v1", kept="v2") == (["v1"], [])

    def test_a_deleted_key_goes_altogether_with_its_marker(self) -> None:
        assert deletes("m2", "v1") == (["v1"], ["m2"])
        assert deletes("m1") == ([], ["m1"])
        assert deletes("m4", "m3", "v2", "m1") == (["v2"], ["m1", "m3", "m4"])

    def test_a_marker_stays_above_whatever_stays(self) -> None:
        """Or deleting it would bring the version below it back."""
        assert deletes("m2", "v1", kept="v1") == ([], [])
        assert deletes("m3", "v2", "v1", kept="v1") == (["v2"], [])
        assert deletes("m2", "v1", locked="v1") == ([], [])
        assert deletes("m2@9", "v1", cutoff=9) == ([], [])

    def test_a_marker_below_whatever_stays_goes(self) -> None:
        assert deletes("v3", "m2", "v1") == (["v1"], ["m2"])
        assert deletes("m4", "v3", "m2", "v1", kept="v3") == (["v1"], ["m2"])

    def test_the_minimum_age_counts_from_the_replacement(self) -> None:
        """Somebody may yet find out that the replacement was an attack."""
        assert deletes("v2@50", "v1@10", cutoff=50) == ([], [])
        assert deletes("v2@50", "v1@10", cutoff=51) == (["v1"], [])
        assert deletes("m2@50", "v1@10", cutoff=50) == ([], [])
        assert deletes("v3@50", "v2@40", "v1@10", cutoff=50) == (["v1"], [])

    def test_a_young_marker_stays_even_when_nothing_is_below_it(self) -> None:
        assert deletes("m2@50", "v1@10", cutoff=40) == ([], [])
        assert deletes("m1@50", cutoff=50) == ([], [])
        assert deletes("m1@50", cutoff=51) == ([], ["m1"])

    def test_times_that_run_backwards_make_nothing_older(self) -> None:
        assert deletes("v3@20", "v2@60", "v1@10", cutoff=50) == ([], [])

    def test_it_counts_what_it_keeps(self) -> None:
        found = plan_key(history("v4@90", "v3@80", "v2@20", "v1@10"), {"v2"}, 50)
        assert (found.kept, found.too_young) == (2, 1)
        assert found.versions == [Deletion("k", "v1", 10)]

    def test_locks_are_asked_for_only_about_the_doomed(self) -> None:
        asked: list[str] = []

        def locked(doomed: Deletion) -> bool:
            asked.append(doomed.version_id)
            return False

        plan_key(history("v5@9", "m4@5", "v3@4", "v2@3", "v1@1"), {"v2"}, 5, locked)
        assert asked == ["v1"]

    def test_the_newest_stays_even_when_the_server_does_not_call_it_the_latest(self) -> None:
        entries = [entry._replace(is_latest=False) for entry in history("v2", "v1")]
        assert [doomed.version_id for doomed in plan_key(entries, set(), NEVER).versions] == ["v1"]
        entries = [entry._replace(is_latest=n == 1) for n, entry in enumerate(history("v2", "v1"))]
        assert plan_key(entries, set(), NEVER).versions == []


entries = st.lists(st.tuples(st.booleans(), st.integers(0, 4)), min_size=1, max_size=7).map(
    lambda events: [f"{'m' if marker else 'v'}{n}@{time}" for n, (marker, time) in enumerate(events)]
)
picks = st.lists(st.integers(0, 6), max_size=3).map(lambda numbers: {f"v{n}" for n in numbers})


@given(
    entries=entries,
    kept=picks,
    locked=picks,
    cutoff=st.one_of(st.integers(0, 5), st.just(NEVER)),
    order=st.randoms(use_true_random=False),
)
def test_any_part_of_a_plan_leaves_the_present_and_every_kept_version(
    entries: list[str], kept: set[str], locked: set[str], cutoff: int, order: random.Random
) -> None:
    before = history(*entries)
    decided = plan_key(before, kept, cutoff, lambda doomed: doomed.version_id in locked)
    # Versions go before markers; among themselves in any order, because several requests are on their way at once.
    versions, markers = list(decided.versions), list(decided.markers)
    order.shuffle(versions)
    order.shuffle(markers)
    there = list(before)
    for doomed in [*versions, *markers]:
        (gone,) = [entry for entry in there if entry.version_id == doomed.version_id]
        there.remove(gone)
        assert present(there) == present(before)
        assert not gone.is_latest or gone.is_marker
        assert gone.version_id not in kept | locked
        assert gone.last_modified < cutoff
    assert past(there, kept) == past(before, kept)
    needed = [e for e in before if not e.is_marker and (e.is_latest or e.version_id in kept)]
    assert set(needed) <= set(there)
    assert decided.kept == len(needed)
    left = [e for e in there if not e.is_marker]
    assert len(left) == decided.kept + decided.too_young + sum(
        e.version_id in locked and e not in needed and e not in too_young(before, cutoff) for e in left
    )


def present(entries: list[ObjectVersion]) -> str | None:
    """What a plain listing shows of the key."""
    return None if not entries or entries[0].is_marker else entries[0].version_id


def past(entries: list[ObjectVersion], kept: set[str]) -> list[bool]:
    """For each version that a state needs: whether something newer hides it."""
    return [place > 0 for place, entry in enumerate(entries) if entry.version_id in kept and not entry.is_marker]


def too_young(entries: list[ObjectVersion], cutoff: int) -> list[ObjectVersion]:
    """What was written or replaced at the cutoff or later."""
    newer = [entries[0], *entries]
    return [
        e
        for e, replacement in zip(entries, newer, strict=False)
        if max(e.last_modified, replacement.last_modified) >= cutoff
    ]


@given(entries=entries, kept=picks, cutoff=st.integers(0, 5))
def test_a_second_prune_finds_nothing_more(entries: list[str], kept: set[str], cutoff: int) -> None:
    before = history(*entries)
    first = plan_key(before, kept, cutoff)
    gone = {doomed.version_id for doomed in [*first.versions, *first.markers]}
    rest = [entry for entry in before if entry.version_id not in gone]
    if rest:
        second = plan_key(rest, kept, cutoff)
        assert not [d for d in second.versions if d.version_id not in gone]
        assert (second.kept, second.too_young) <= (first.kept, first.too_young)


@given(keys=st.lists(st.sampled_from("aaab"), max_size=30))
def test_spread_puts_versions_of_one_key_far_apart_and_loses_none(keys: list[str]) -> None:
    doomed = [Deletion(key, str(n), 1) for n, key in enumerate(keys)]
    ordered = spread(doomed)
    assert sorted(ordered) == sorted(doomed)
    rank = {item: sum(d.key == item.key for d in doomed[: doomed.index(item)]) for item in doomed}
    assert [rank[item] for item in ordered] == sorted(rank.values())


def a_plan(versions: list[Deletion], markers: list[Deletion]) -> PrunePlan:
    return PrunePlan(BUCKET, (), tuple(versions), tuple(markers), 0, 0, 0, ())


class Flaky(MemoryS3):
    """Raises at the request with this number."""

    fails_at = NEVER
    requests = 0

    def delete_versions(self, bucket: str, exact: object) -> list[DeleteFailure]:
        self.requests += 1
        if self.requests == self.fails_at:
            raise Unreachable("DeleteObjects bucket1: no usable answer")
        return super().delete_versions(bucket, exact)  # type: ignore[arg-type]


def deleted_bucket(s3: MemoryS3, keys: int, versions: int = 1) -> PrunePlan:
    """A bucket of deleted keys, and the plan that empties it."""
    doomed, markers = [], []
    for n in range(keys):
        doomed += [Deletion(f"k{n}", s3.put(BUCKET, f"k{n}", b"12"), 2) for _ in range(versions)]
        s3.delete(BUCKET, f"k{n}")
        markers.append(Deletion(f"k{n}", s3.buckets[BUCKET][f"k{n}"][0].version_id, 0))
    return a_plan(doomed, markers)


class TestExecute:
    def test_it_deletes_what_the_plan_names_and_nothing_else(self) -> None:
        s3 = MemoryS3(BUCKET)
        todo = deleted_bucket(s3, 3, 2)
        other = s3.put(BUCKET, "k0", b"came later")
        result = execute_prune(s3, todo)
        assert (result.versions, result.markers, result.bytes, result.failures) == (6, 3, 12, ())
        assert sorted(s3.deleted) == sorted((d.key, d.version_id) for d in [*todo.versions, *todo.markers])
        assert s3.present(BUCKET) == {"k0": other}

    def test_every_version_goes_before_any_marker(self) -> None:
        s3 = MemoryS3(BUCKET)
        todo = deleted_bucket(s3, CHUNK + 10, 5)
        execute_prune(s3, todo)
        markers = {(marker.key, marker.version_id) for marker in todo.markers}
        kinds = [pair in markers for pair in s3.deleted]
        assert kinds == sorted(kinds)
        assert sum(kinds) == CHUNK + 10

    def test_a_marker_stays_above_a_version_that_could_not_be_deleted(self) -> None:
        s3 = MemoryS3(BUCKET)
        todo = deleted_bucket(s3, 3, 2)
        stuck = todo.versions[2]
        s3.stuck[stuck.key, stuck.version_id] = "AccessDenied"
        result = execute_prune(s3, todo)
        assert result.failures == (DeleteFailure(stuck.key, stuck.version_id, "AccessDenied"),)
        assert (result.versions, result.markers, result.bytes) == (5, 2, 10)
        assert s3.present(BUCKET) == {}
        assert s3.counts(BUCKET) == {"version": 1, "marker": 1}

    def test_a_marker_that_could_not_be_deleted_is_told(self) -> None:
        s3 = MemoryS3(BUCKET)
        todo = deleted_bucket(s3, 2)
        s3.stuck[todo.markers[0].key, todo.markers[0].version_id] = "InternalError"
        result = execute_prune(s3, todo)
        assert (result.versions, result.markers) == (2, 1)
        assert [failure.code for failure in result.failures] == ["InternalError"]

    @pytest.mark.parametrize("request_number", range(1, 8))
    def test_interrupted_anywhere_it_hides_what_was_hidden_and_can_be_repeated(self, request_number: int) -> None:
        s3 = Flaky(BUCKET)
        todo = deleted_bucket(s3, CHUNK + 10, 5)
        s3.fails_at = request_number
        with pytest.raises(Unreachable):
            execute_prune(s3, todo)
        assert s3.present(BUCKET) == {}
        versions = {(d.key, d.version_id) for d in todo.versions}
        gone = set(s3.deleted)
        rest = a_plan(
            [d for d in todo.versions if (d.key, d.version_id) not in gone],
            [d for d in todo.markers if (d.key, d.version_id) not in gone],
        )
        assert not gone - versions or versions <= gone
        execute_prune(s3, rest)
        assert s3.counts(BUCKET) == {}

    def test_progress_counts_every_one_of_them(self) -> None:
        s3 = MemoryS3(BUCKET)
        todo = deleted_bucket(s3, 7, 100)
        counted: list[int] = []
        execute_prune(s3, todo, counted.append)
        assert sum(counted) == 707

    def test_a_refused_plan_is_never_executed(self) -> None:
        s3 = MemoryS3(BUCKET)
        version = s3.put(BUCKET, "k", b"1")
        refused = PrunePlan(BUCKET, (), (Deletion("k", version, 1),), (), 0, 0, 0, ("no state",))
        with pytest.raises(AssertionError):
            execute_prune(s3, refused)
        assert s3.deleted == []


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return Index.open(tmp_path / "index.sqlite")


class TestKeptStates:
    @pytest.fixture
    def infos(self, index: Index) -> list[StateInfo]:
        s3 = MemoryS3(BUCKET, "other")
        capture_state(s3, index, "other")
        return [capture_state(s3, index, BUCKET) for _ in range(4)]

    def test_the_newest_and_the_named_ones_oldest_first(self, index: Index, infos: list[StateInfo]) -> None:
        assert select_kept_states(index, BUCKET, last=2, named=[]) == infos[2:]
        assert select_kept_states(index, BUCKET, last=9, named=[]) == infos
        assert select_kept_states(index, BUCKET, last=0, named=[infos[1].id]) == [infos[1]]
        assert select_kept_states(index, BUCKET, last=1, named=["latest", infos[0].id[:20]]) == [infos[0], infos[3]]

    def test_to_keep_nothing_is_no_answer(self, index: Index, infos: list[StateInfo]) -> None:
        for last in (0, -1):
            with pytest.raises(UsageError, match="say which states to keep"):
                select_kept_states(index, BUCKET, last=last, named=[])

    def test_a_state_of_another_bucket_is_not_found(self, index: Index, infos: list[StateInfo]) -> None:
        (other,) = index.states("other")
        with pytest.raises(StateNotFound):
            select_kept_states(index, BUCKET, last=1, named=[other.id])


class TestPlan:
    def test_what_no_kept_state_and_no_listing_needs_is_doomed(self, index: Index) -> None:
        s3 = MemoryS3(BUCKET)
        a = [s3.put(BUCKET, "data/a", b"1")]
        s3.put(BUCKET, "data/b", b"22")
        capture_state(s3, index, BUCKET)
        a.append(s3.put(BUCKET, "data/a", b"333"))
        s3.delete(BUCKET, "data/b")
        capture_state(s3, index, BUCKET)
        a.append(s3.put(BUCKET, "data/a", b"4444"))
        found = plan_prune(s3, index, BUCKET, select_kept_states(index, BUCKET, last=1, named=[]))
        assert found.refused == ()
        assert [(d.key, d.version_id) for d in found.versions] == [("data/a", a[0]), ("data/b", "v1")]
        assert [d.key for d in found.markers] == ["data/b"]
        assert (found.bytes, found.kept_versions, found.too_young, found.locked) == (3, 2, 0, 0)

    def test_a_state_that_another_process_records_meanwhile_moves_no_other_to_its_place(
        self, index: Index, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        s3 = MemoryS3(BUCKET)
        needed = s3.put(BUCKET, "data/a", b"1")
        s3.now += 10 * SECOND
        kept = capture_state(s3, index, BUCKET)
        s3.now += 10 * SECOND
        s3.put(BUCKET, "data/a", b"2")
        s3.now += 10 * SECOND
        capture_state(s3, index, BUCKET)
        s3.now += 10 * SECOND
        references = Index.references

        def late(self: Index, *arguments: Any) -> Any:
            found = references(self, *arguments)
            with Index.open(index.path) as other:
                capture_state(s3, other, BUCKET, at=kept.captured_at - 5 * SECOND, origin="past")
            return found

        monkeypatch.setattr(Index, "references", late)
        found = plan_prune(s3, index, BUCKET, [kept])
        assert ("data/a", needed) not in [(doomed.key, doomed.version_id) for doomed in found.versions]

    def test_our_own_objects_are_not_touched(self, index: Index) -> None:
        s3 = MemoryS3(BUCKET)
        s3.put(BUCKET, "config", b"1")
        info = capture_state(s3, index, BUCKET)
        s3.put(BUCKET, "rwm/states/x", b"forged")
        s3.put(BUCKET, "rwm/states/x", b"forged again")
        found = plan_prune(s3, index, BUCKET, [info])
        assert (found.versions, found.markers) == ((), ())

    def test_the_minimum_age_is_measured_by_the_clock_of_the_server(self, index: Index) -> None:
        s3 = MemoryS3(BUCKET)
        s3.put(BUCKET, "config", b"1")
        s3.now += 100 * SECOND
        s3.put(BUCKET, "config", b"2")
        info = capture_state(s3, index, BUCKET)
        s3.now += 50 * SECOND
        replaced = s3.now - s3.buckets[BUCKET]["config"][0].last_modified
        assert plan_prune(s3, index, BUCKET, [info], min_age=replaced + 10 * SECOND).too_young == 1
        assert len(plan_prune(s3, index, BUCKET, [info], min_age=replaced - 10 * SECOND).versions) == 1

    def test_what_is_locked_is_counted_and_left(self, index: Index) -> None:
        s3 = MemoryS3(BUCKET)
        versions = [s3.put(BUCKET, "config", b"1") for _ in range(4)]
        info = capture_state(s3, index, BUCKET)
        s3.locked["config", versions[1]] = "COMPLIANCE until 2030-01-01T00:00:00Z"
        assert len(plan_prune(s3, index, BUCKET, [info]).versions) == 3
        assert s3.asked_about_locks == []
        s3.object_lock = True
        found = plan_prune(s3, index, BUCKET, [info])
        assert (len(found.versions), found.locked) == (2, 1)
        assert [version for _, version in s3.asked_about_locks] == versions[:3]

    @pytest.mark.parametrize("status", ["Suspended", ""])
    def test_refused_without_versioning(self, index: Index, status: str) -> None:
        s3 = MemoryS3(BUCKET)
        s3.put(BUCKET, "config", b"1")
        info = capture_state(s3, index, BUCKET)
        s3.states[BUCKET] = status
        (reason,) = plan_prune(s3, index, BUCKET, [info]).refused
        assert reason == f"versioning of the bucket is {status or 'off'}"

    def test_refused_without_a_state(self, index: Index) -> None:
        (reason,) = plan_prune(MemoryS3(BUCKET), index, BUCKET, []).refused
        assert "rwm state capture bucket1" in reason

    def test_refused_when_the_newest_kept_state_is_empty(self, index: Index) -> None:
        s3 = MemoryS3(BUCKET)
        info = capture_state(s3, index, BUCKET)
        (reason,) = plan_prune(s3, index, BUCKET, [info]).refused
        assert "is empty" in reason

    def test_refused_when_a_version_of_the_newest_kept_state_is_gone(self, index: Index) -> None:
        s3 = MemoryS3(BUCKET)
        for key in ("config", "data/a", "data/b"):
            s3.put(BUCKET, key, b"1")
        info = capture_state(s3, index, BUCKET)
        assert plan_prune(s3, index, BUCKET, [info]).refused == ()
        s3.remove(BUCKET, "data/a", s3.present(BUCKET)["data/a"])
        (reason,) = plan_prune(s3, index, BUCKET, [info]).refused
        assert "not complete: 1 of its 3 versions" in reason

    def test_a_plan_changes_nothing(self, index: Index) -> None:
        s3 = MemoryS3(BUCKET)
        s3.put(BUCKET, "config", b"1")
        s3.put(BUCKET, "config", b"2")
        info = capture_state(s3, index, BUCKET)
        before = list(s3.versions(BUCKET))
        plan_prune(s3, index, BUCKET, [info])
        assert list(s3.versions(BUCKET)) == before


actions = st.lists(
    st.tuples(st.sampled_from(["data/a", "data/b", "c"]), st.sampled_from(["put", "delete", "capture"])), max_size=14
)


@given(actions=actions, last=st.integers(1, 3))
def test_after_a_prune_every_kept_state_is_whole_and_the_present_is_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, actions: list[tuple[str, str]], last: int
) -> None:
    s3 = MemoryS3(BUCKET)
    with Index.open(tmp_path_factory.mktemp("index") / "index.sqlite") as index:
        s3.put(BUCKET, "config", b"1")
        for key, action in actions:
            if action == "put":
                s3.put(BUCKET, key, b"1")
            elif action == "delete":
                s3.delete(BUCKET, key)
            else:
                capture_state(s3, index, BUCKET)
        capture_state(s3, index, BUCKET)
        keep = select_kept_states(index, BUCKET, last=last, named=[])
        present = s3.present(BUCKET)
        execute_prune(s3, plan_prune(s3, index, BUCKET, keep))
        assert s3.present(BUCKET) == present
        there = {(entry.key, entry.version_id) for entry in s3.versions(BUCKET)}
        needed = {(entry.key, entry.version_id) for info in keep for entry in index.entries(info)}
        assert needed <= there
        again = plan_prune(s3, index, BUCKET, keep)
        assert (again.versions, again.markers, again.refused) == ((), (), ())
