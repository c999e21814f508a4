"""Who is current at T, against a model that replays what happened."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwm.model import Entry, EntryBatch, ListedClasses, ObjectVersion, VersionBatch
from rwm.states.current import as_entry, current_at, current_entries
from rwm.times import SECOND

T = 1_700_000_000_000


def version(name: str, time: int, *, marker: bool = False, latest: bool = False) -> ObjectVersion:
    size, etag = (0, "") if marker else (len(name), f"etag-{name}")
    return ObjectVersion("key", name, latest, marker, size, etag, time)


def listing(events: list[tuple[int, bool]]) -> list[ObjectVersion]:
    """What a server lists, newest first, of (time, is a delete) in the order in which it happened."""
    newest = len(events) - 1
    return [
        version(f"v{n}", events[n][0], marker=events[n][1], latest=n == newest) for n in reversed(range(len(events)))
    ]


events = st.lists(st.tuples(st.integers(0, 4000), st.booleans()), max_size=8)


@given(events=events, second=st.integers(-1, 5))
def test_the_past_is_what_a_replay_up_to_that_second_gives(events: list[tuple[int, bool]], second: int) -> None:
    events = sorted(events, key=lambda event: event[0])
    current = None
    for n, (time, deleted) in enumerate(events):
        if time // SECOND <= second:
            current = None if deleted else f"v{n}"
    found = current_at(listing(events), second * SECOND, born_later=False)
    assert (found.version_id if found else None) == current


@given(events=events, second=st.integers(-1, 5))
def test_a_capture_is_the_past_and_what_was_born_since(events: list[tuple[int, bool]], second: int) -> None:
    events = sorted(events, key=lambda event: event[0])
    history = listing(events)
    found = current_at(history, second * SECOND, born_later=True)
    if any(time // SECOND <= second for time, _ in events):
        assert found == current_at(history, second * SECOND, born_later=False)
    else:
        puts = [f"v{n}" for n, (_, deleted) in enumerate(events) if not deleted]
        assert (found.version_id if found else None) == (puts[0] if puts else None)


@given(times=st.lists(st.tuples(st.integers(0, 4000), st.booleans()), min_size=1, max_size=6))
def test_whatever_the_times_the_first_entry_listed_by_then_decides(times: list[tuple[int, bool]]) -> None:
    """Times of versions written at once can run backwards; the order of the listing never does."""
    history = listing(times)
    for second in range(-1, 6):
        entries = [entry for entry in history if entry.last_modified // SECOND <= second]
        expected = None if not entries or entries[0].is_marker else as_entry(entries[0])
        assert current_at(history, second * SECOND, born_later=False) == expected


@given(events=events)
def test_after_the_last_event_the_state_is_the_present(events: list[tuple[int, bool]]) -> None:
    history = listing(events)
    found = current_at(history, 5 * SECOND, born_later=False)
    latest = [as_entry(entry) for entry in history if entry.is_latest and not entry.is_marker]
    assert ([found] if found else []) == latest


@pytest.mark.parametrize(("time", "there"), [(T - 1, True), (T, True), (T + 999, True), (T + 1000, False)])
def test_a_second_counts_as_a_whole(time: int, there: bool) -> None:
    assert (current_at([version("v", time)], T, born_later=False) is not None) == there


def test_of_two_versions_in_one_second_the_one_listed_first_is_current() -> None:
    history = [version("second", T), version("first", T)]
    assert current_at(history, T, born_later=False) == as_entry(history[0])


def test_a_marker_written_in_the_second_hides_the_key() -> None:
    history = [version("marker", T + 500, marker=True), version("v", T)]
    assert current_at(history, T, born_later=True) is None
    assert current_at(history, T - SECOND, born_later=False) is None


def test_a_deletion_after_the_second_hides_nothing() -> None:
    history = [version("marker", T + SECOND, marker=True), version("v", T)]
    assert current_at(history, T, born_later=False) == as_entry(history[1])


def test_an_overwrite_during_a_capture_does_not_replace_what_was_there() -> None:
    history = [version("garbage", T + 2 * SECOND), version("good", T)]
    assert current_at(history, T, born_later=True) == as_entry(history[1])


def test_a_key_born_during_a_capture_is_taken_at_its_oldest_version() -> None:
    history = [version("marker", T + 4 * SECOND, marker=True), version("b", T + 3000), version("a", T + 2000)]
    assert current_at(history, T, born_later=True) == as_entry(history[2])
    assert current_at(history, T, born_later=False) is None


def test_a_key_of_which_there_are_only_markers_is_absent() -> None:
    assert current_at([version("m", T + 5000, marker=True)], T, born_later=True) is None
    assert current_at([], T, born_later=True) is None


def test_an_entry_is_the_version_without_what_changes_later() -> None:
    assert as_entry(version("v1", T, latest=True)) == Entry("key", "v1", 2, "etag-v1", T)
    assert as_entry(version("v1", T, latest=True)) == as_entry(version("v1", T, latest=False))


keys = st.lists(st.lists(st.tuples(st.integers(0, 4000), st.booleans()), min_size=1, max_size=4), max_size=6)


@given(
    histories=keys, cuts=st.lists(st.integers(1, 4), max_size=12), second=st.integers(-1, 4), born_later=st.booleans()
)
def test_of_a_listing_in_batches_the_rule_holds_for_every_key(
    histories: list[list[tuple[int, bool]]], cuts: list[int], second: int, born_later: bool
) -> None:
    listed = [
        [version._replace(key=f"k{number}") for version in listing(events)] for number, events in enumerate(histories)
    ]
    expected = [current_at(history, second * SECOND, born_later=born_later) for history in listed]
    left = [version for history in listed for version in history]
    batches = []
    for size in [*cuts, len(left)]:
        if left:
            batches.append(VersionBatch.of(left[:size]))
            left = left[size:]
    parts = [*current_entries(batches, second * SECOND, born_later=lambda _: born_later)]
    found = [entry for part in parts if isinstance(part, EntryBatch) for entry in part.entries()]
    assert sorted(found) == [entry for entry in expected if entry]


def test_storage_classes_of_all_versions_are_passed_on_batch_by_batch() -> None:
    history = [version(f"v{n}", T - n)._replace(storage_class=None if n == 1 else f"class {n}") for n in range(4)]
    batches = [VersionBatch.of(history[:2]), VersionBatch.of(history[1:2]), VersionBatch.of(history[2:])]
    parts = [*current_entries(batches, T, born_later=lambda _: True)]
    assert [(type(part), list(part.version_ids)) for part in parts] == [
        (ListedClasses, ["v0"]),
        (EntryBatch, ["v0"]),
        (ListedClasses, ["v2", "v3"]),
    ]
