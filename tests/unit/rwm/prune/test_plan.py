"""Plans of a prune: which versions and delete markers are deleted, and why a plan is refused."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwm.errors import StateNotFound, UsageError
from rwm.index import Index
from rwm.location import Location
from rwm.model import ObjectVersion, Retention, RetentionChange, StateInfo
from rwm.prune.key_plan import Deletion, plan_key
from rwm.prune.plan import plan_prune
from rwm.retention.selection import select_kept_states
from rwm.s3 import DefaultRetention
from rwm.states.capture import capture_state
from rwm.times import DAY, SECOND
from rwm.trust import audit_location
from tests.keeping import keep_last
from tests.unit.memory import MemoryS3
from tests.unit.rwm.verify.verify_setup import named

BUCKET = "bucket1"
LOCATION = Location(BUCKET)
NEVER = 1 << 62


def history(*entries: str) -> list[ObjectVersion]:
    """Entries newest first: ``v3@30`` is a version written at 30, ``m2@20`` a marker; the time defaults to 0."""
    found = []
    for place, text in enumerate(entries):
        name, _, time = text.partition("@")
        marker = name.startswith("m")
        found.append(ObjectVersion("k", name, place == 0, marker, 0 if marker else 10, "", int(time or 0)))
    return found


def deletes(*entries: str, kept: str = "", cutoff: int = NEVER, locked: str = "") -> tuple[list[str], list[str]]:
    """Version ids that a plan for these entries deletes: versions, markers."""
    found = plan_key(
        history(*entries), set(kept.split()), cutoff, lambda deletion: deletion.version_id in locked.split()
    )
    return [version.version_id for version in found.versions], [marker.version_id for marker in found.markers]


class TestPlanKey:
    def test_current_versions_stay_and_noncurrent_ones_are_deleted(self) -> None:
        assert deletes("v1") == ([], [])
        assert deletes("v3", "v2", "v1") == (["v1", "v2"], [])

    def test_versions_of_kept_states_stay(self) -> None:
        assert deletes("v3", "v2", "v1", kept="v2") == (["v1"], [])

    def test_a_deleted_key_is_deleted_with_its_markers(self) -> None:
        assert deletes("m2", "v1") == (["v1"], ["m2"])
        assert deletes("m1") == ([], ["m1"])
        assert deletes("m4", "m3", "v2", "m1") == (["v2"], ["m1", "m3", "m4"])

    def test_a_marker_stays_while_an_older_version_stays(self) -> None:
        """Deleting it would make that version current again."""
        assert deletes("m2", "v1", kept="v1") == ([], [])
        assert deletes("m3", "v2", "v1", kept="v1") == (["v2"], [])
        assert deletes("m2", "v1", locked="v1") == ([], [])
        assert deletes("m2@9", "v1", cutoff=9) == ([], [])

    def test_a_marker_without_older_versions_is_deleted(self) -> None:
        assert deletes("v3", "m2", "v1") == (["v1"], ["m2"])
        assert deletes("m4", "v3", "m2", "v1", kept="v3") == (["v1"], ["m2"])

    def test_minimum_age_counts_from_the_replacement(self) -> None:
        """The replacement may turn out to be an attack."""
        assert deletes("v2@50", "v1@10", cutoff=50) == ([], [])
        assert deletes("v2@50", "v1@10", cutoff=51) == (["v1"], [])
        assert deletes("m2@50", "v1@10", cutoff=50) == ([], [])
        assert deletes("v3@50", "v2@40", "v1@10", cutoff=50) == (["v1"], [])

    def test_a_young_marker_stays(self) -> None:
        assert deletes("m2@50", "v1@10", cutoff=40) == ([], [])
        assert deletes("m1@50", cutoff=50) == ([], [])
        assert deletes("m1@50", cutoff=51) == ([], ["m1"])

    def test_a_marker_that_was_replaced_lately_stays(self) -> None:
        assert deletes("v3@30", "m2@20", "v1@10", cutoff=25) == (["v1"], [])
        assert deletes("v3@30", "m2@20", cutoff=25) == ([], [])
        assert deletes("v3@30", "m2@20", cutoff=31) == ([], ["m2"])

    def test_the_later_of_both_times_counts(self) -> None:
        assert deletes("v3@20", "v2@60", "v1@10", cutoff=50) == ([], [])

    def test_kept_and_too_young_versions_are_counted(self) -> None:
        found = plan_key(history("v4@90", "v3@80", "v2@20", "v1@10"), {"v2"}, 50)
        assert (found.kept, found.too_young) == (2, 1)
        assert found.versions == [Deletion("k", "v1", 10, "replaced", 10, 20)]

    def test_the_first_version_of_a_name_written_once_stays_beside_an_unproved_later_one(self) -> None:
        """An equal size or ETag proves nothing: the later one may be encrypted with another key."""
        for kept in ("", "v2"):
            found = plan_key(history("v3", "v2", "v1"), {kept}, NEVER, is_proved=lambda version: False)
            assert ("v1" in {deletion.version_id for deletion in found.versions}, found.first) == (False, 1)
        found = plan_key(history("m3", "v2", "v1"), {"v2"}, NEVER, is_proved=lambda version: False)
        assert (found.versions, found.markers, found.kept, found.first) == ([], [], 1, 1)
        found = plan_key(history("m3", "v2", "v1"), set(), NEVER, is_proved=lambda version: False)
        assert (len(found.versions), found.first) == (2, 0)  # nothing of the key stays

    def test_the_first_version_is_the_oldest_by_time(self) -> None:
        """SeaweedFS lists a version that was written while versioning was suspended last of its key."""
        found = plan_key(history("v3@9", "v1@1", "null@5"), {"null"}, NEVER, is_proved=lambda version: False)
        assert (found.versions, found.kept, found.first) == ([], 2, 1)

    def test_proved_later_versions_replace_the_first(self) -> None:
        entries = history("v3", "v2", "v1")
        for kept, deleted in (("", ["v1", "v2"]), ("v2", [])):  # v2 was not read
            found = plan_key(entries, {kept}, NEVER, is_proved=lambda version: version.version_id == "v3")
            assert [deletion.version_id for deletion in found.versions] == deleted

    def test_locks_are_looked_up_only_for_versions_to_delete(self) -> None:
        asked: list[str] = []

        def is_locked(deletion: Deletion) -> bool:
            asked.append(deletion.version_id)
            return False

        plan_key(history("v5@9", "m4@5", "v3@4", "v2@3", "v1@1"), {"v2"}, 5, is_locked)
        assert asked == ["v1"]

    def test_the_newest_entry_stays_whatever_is_latest_says(self) -> None:
        entries = [entry._replace(is_latest=False) for entry in history("v2", "v1")]
        assert [version.version_id for version in plan_key(entries, set(), NEVER).versions] == ["v1"]
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
def test_any_part_of_a_plan_keeps_the_current_and_every_kept_version(
    entries: list[str], kept: set[str], locked: set[str], cutoff: int, order: random.Random
) -> None:
    before = history(*entries)
    decision = plan_key(before, kept, cutoff, lambda deletion: deletion.version_id in locked)
    # Versions are deleted before markers, each kind in any order, because several requests are in flight.
    versions, markers = list(decision.versions), list(decision.markers)
    order.shuffle(versions)
    order.shuffle(markers)
    after = list(before)
    for deletion in [*versions, *markers]:
        (deleted,) = [entry for entry in after if entry.version_id == deletion.version_id]
        after.remove(deleted)
        assert current(after) == current(before)
        assert not deleted.is_latest or deleted.is_marker
        assert deleted.version_id not in kept | locked
        assert deleted.last_modified < cutoff
    assert hidden(after, kept) == hidden(before, kept)
    needed = [e for e in before if not e.is_marker and (e.is_latest or e.version_id in kept)]
    assert set(needed) <= set(after)
    assert decision.kept == len(needed)
    left = [e for e in after if not e.is_marker]
    assert len(left) == decision.kept + decision.too_young + sum(
        e.version_id in locked and e not in needed and e not in too_young(before, cutoff) for e in left
    )


def current(entries: list[ObjectVersion]) -> str | None:
    """Version id in a plain listing."""
    return None if not entries or entries[0].is_marker else entries[0].version_id


def hidden(entries: list[ObjectVersion], kept: set[str]) -> list[bool]:
    """For each kept version: whether a newer entry hides it."""
    return [place > 0 for place, entry in enumerate(entries) if entry.version_id in kept and not entry.is_marker]


def too_young(entries: list[ObjectVersion], cutoff: int) -> list[ObjectVersion]:
    """Entries written or replaced at the cutoff or later."""
    newer = [entries[0], *entries]
    return [
        e
        for e, replacement in zip(entries, newer, strict=False)
        if max(e.last_modified, replacement.last_modified) >= cutoff
    ]


@given(entries=entries, kept=picks, cutoff=st.integers(0, 5))
def test_a_second_plan_deletes_nothing_more(entries: list[str], kept: set[str], cutoff: int) -> None:
    before = history(*entries)
    first = plan_key(before, kept, cutoff)
    deleted = {deletion.version_id for deletion in [*first.versions, *first.markers]}
    rest = [entry for entry in before if entry.version_id not in deleted]
    if rest:
        second = plan_key(rest, kept, cutoff)
        assert not [d for d in second.versions if d.version_id not in deleted]
        assert (second.kept, second.too_young) <= (first.kept, first.too_young)


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return Index.open(tmp_path / "index.sqlite")


class TestSelectKeptStates:
    @pytest.fixture
    def infos(self, index: Index) -> list[StateInfo]:
        s3 = MemoryS3(BUCKET, "other")
        s3.put(BUCKET, "notes", b"1")
        capture_state(s3, index, Location("other"))
        return [capture_state(s3, index, LOCATION) for _ in range(4)]

    def test_newest_and_named_states_oldest_first(self, index: Index, infos: list[StateInfo]) -> None:
        assert select_kept_states(index, LOCATION, keep_last(2), []) == infos[2:]
        assert select_kept_states(index, LOCATION, keep_last(9), []) == infos
        assert select_kept_states(index, LOCATION, keep_last(0), [infos[1].id]) == [infos[1]]
        assert select_kept_states(index, LOCATION, keep_last(1), ["latest", infos[0].id[:20]]) == [infos[0], infos[3]]

    def test_keeping_nothing_is_a_usage_error(self, index: Index, infos: list[StateInfo]) -> None:
        with pytest.raises(UsageError, match="say which states to keep"):
            select_kept_states(index, LOCATION, keep_last(0), [])

    def test_a_state_of_another_bucket_is_not_found(self, index: Index, infos: list[StateInfo]) -> None:
        (other,) = index.states(Location("other"))
        with pytest.raises(StateNotFound):
            select_kept_states(index, LOCATION, keep_last(1), [other.id])


class TestPlanPrune:
    def test_the_first_pack_stays_until_the_content_of_the_later_one_is_proved(self, index: Index) -> None:
        s3 = MemoryS3(BUCKET)
        content = b"p" * 40
        pack = named("data", content)
        s3.put(BUCKET, pack, content)
        s3.put(BUCKET, pack, content)
        info = capture_state(s3, index, LOCATION)
        found = plan_prune(s3, index, LOCATION, [info])
        assert (len(found.versions), found.first_versions) == (0, 1)
        index.verifications.record_content(BUCKET, [(entry, None) for entry in index.entries(info)], 1)
        found = plan_prune(s3, index, LOCATION, [info])
        assert (len(found.versions), found.first_versions) == (1, 0)

    def test_unneeded_versions_and_markers_are_deleted(self, index: Index) -> None:
        s3 = MemoryS3(BUCKET)
        a = [s3.put(BUCKET, "data/a", b"1")]
        s3.put(BUCKET, "data/b", b"22")
        capture_state(s3, index, LOCATION)
        a.append(s3.put(BUCKET, "data/a", b"333"))
        s3.delete(BUCKET, "data/b")
        capture_state(s3, index, LOCATION)
        a.append(s3.put(BUCKET, "data/a", b"4444"))
        found = plan_prune(s3, index, LOCATION, select_kept_states(index, LOCATION, keep_last(1), []))
        assert found.refused == ()
        assert [(d.key, d.version_id) for d in found.versions] == [("data/a", a[0]), ("data/b", "v1")]
        assert [d.key for d in found.markers] == ["data/b"]
        assert (found.bytes, found.kept_versions, found.too_young, found.locked) == (3, 2, 0, 0)

    def test_a_state_recorded_during_the_plan_does_not_shift_references(
        self, index: Index, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        s3 = MemoryS3(BUCKET)
        needed = s3.put(BUCKET, "data/a", b"1")
        s3.now += 10 * SECOND
        kept = capture_state(s3, index, LOCATION)
        s3.now += 10 * SECOND
        s3.put(BUCKET, "data/a", b"2")
        s3.now += 10 * SECOND
        capture_state(s3, index, LOCATION)
        s3.now += 10 * SECOND
        references = Index.references

        def record_another(self: Index, *arguments: Any) -> Any:
            found = references(self, *arguments)
            with Index.open(index.path) as other:
                capture_state(s3, other, LOCATION, at=kept.captured_at - 5 * SECOND, origin="past")
            return found

        monkeypatch.setattr(Index, "references", record_another)
        found = plan_prune(s3, index, LOCATION, [kept])
        assert ("data/a", needed) not in [(version.key, version.version_id) for version in found.versions]

    def test_own_objects_are_not_deleted(self, index: Index) -> None:
        s3 = MemoryS3(BUCKET)
        s3.put(BUCKET, "config", b"1")
        info = capture_state(s3, index, LOCATION)
        s3.put(BUCKET, "rwm/states/x", b"forged")
        s3.put(BUCKET, "rwm/states/x", b"forged again")
        found = plan_prune(s3, index, LOCATION, [info])
        assert not found.versions and not found.markers

    def test_minimum_age_uses_the_clock_of_the_server(self, index: Index) -> None:
        s3 = MemoryS3(BUCKET)
        s3.put(BUCKET, "config", b"1")
        s3.now += 100 * SECOND
        s3.put(BUCKET, "config", b"2")
        info = capture_state(s3, index, LOCATION)
        s3.now += 50 * SECOND
        replaced = s3.now - s3.buckets[BUCKET]["config"][0].last_modified
        assert plan_prune(s3, index, LOCATION, [info], min_age=replaced + 10 * SECOND).too_young == 1
        assert len(plan_prune(s3, index, LOCATION, [info], min_age=replaced - 10 * SECOND).versions) == 1

    def test_what_is_written_after_the_audit_stays(self, index: Index) -> None:
        """The audit has not judged it: what replaced it may be an attack."""
        s3 = MemoryS3(BUCKET)
        before = s3.put(BUCKET, "notes", b"1")
        s3.put(BUCKET, "notes", b"2")
        info = capture_state(s3, index, LOCATION)
        audit = audit_location(s3, LOCATION)
        s3.now += 2 * SECOND
        s3.put(BUCKET, "notes", b"3")
        s3.put(BUCKET, "notes", b"4")
        found = plan_prune(s3, index, LOCATION, [info], audit=audit)
        assert [item.version_id for item in found.versions] == [before]
        assert found.too_young == 1

    def test_what_is_known_to_be_locked_is_counted_and_kept_without_a_request(self, index: Index) -> None:
        s3 = MemoryS3(BUCKET)
        versions = [s3.put(BUCKET, "config", b"1") for _ in range(4)]
        info = capture_state(s3, index, LOCATION)
        index.retentions.record(BUCKET, [RetentionChange("config", versions[1], Retention("governance", s3.now + DAY))])
        index.retentions.record_found(BUCKET, [("config", versions[2], s3.now + DAY)], s3.now)
        assert len(plan_prune(s3, index, LOCATION, [info]).versions) == 3
        s3.object_lock = True
        found = plan_prune(s3, index, LOCATION, [info])
        assert ([item.version_id for item in found.versions], found.locked) == ([versions[0]], 2)
        s3.now += 2 * DAY
        found = plan_prune(s3, index, LOCATION, [info])
        assert ([item.version_id for item in found.versions], found.locked) == (versions[:3], 0)
        s3.default_lock = DefaultRetention("governance", 3 * DAY)
        assert (plan_prune(s3, index, LOCATION, [info]).locked, s3.asked_about_locks) == (3, [])
        s3.now += 2 * DAY
        assert plan_prune(s3, index, LOCATION, [info]).locked == 0

    @pytest.mark.parametrize("status", ["Suspended", ""])
    def test_refused_without_versioning(self, index: Index, status: str) -> None:
        s3 = MemoryS3(BUCKET)
        s3.put(BUCKET, "config", b"1")
        info = capture_state(s3, index, LOCATION)
        s3.states[BUCKET] = status
        (reason,) = plan_prune(s3, index, LOCATION, [info]).refused
        assert reason == f"versioning of the bucket is {status or 'off'}"

    def test_refused_without_a_state(self, index: Index) -> None:
        (reason,) = plan_prune(MemoryS3(BUCKET), index, LOCATION, []).refused
        assert "rwm state capture bucket1" in reason

    def test_refused_when_the_newest_kept_state_is_empty(self, index: Index) -> None:
        s3 = MemoryS3(BUCKET)
        info = capture_state(s3, index, LOCATION)
        (reason,) = plan_prune(s3, index, LOCATION, [info]).refused
        assert "is empty" in reason

    def test_refused_when_the_newest_kept_state_is_incomplete(self, index: Index) -> None:
        s3 = MemoryS3(BUCKET)
        for key in ("config", "data/a", "data/b"):
            s3.put(BUCKET, key, b"1")
        info = capture_state(s3, index, LOCATION)
        assert plan_prune(s3, index, LOCATION, [info]).refused == ()
        s3.remove(BUCKET, "data/a", s3.present(BUCKET)["data/a"])
        (reason,) = plan_prune(s3, index, LOCATION, [info]).refused
        assert "not complete: 1 of its 3 versions" in reason

    def test_a_plan_changes_nothing(self, index: Index) -> None:
        s3 = MemoryS3(BUCKET)
        s3.put(BUCKET, "config", b"1")
        s3.put(BUCKET, "config", b"2")
        info = capture_state(s3, index, LOCATION)
        before = list(s3.versions(BUCKET))
        plan_prune(s3, index, LOCATION, [info])
        assert list(s3.versions(BUCKET)) == before
