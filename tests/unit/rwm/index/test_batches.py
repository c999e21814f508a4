"""Comparing states batch by batch, against a comparison of dictionaries."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rwm.index.batches import diff_batches
from rwm.model import Change, Entry, EntryBatch
from tests.unit.states import entry

states = st.dictionaries(st.text(st.sampled_from("ab/ж"), min_size=1, max_size=3), st.integers(0, 2), max_size=12)
cuts = st.lists(st.integers(1, 4), max_size=12)


def batches(entries: list[Entry], sizes: list[int]) -> list[EntryBatch]:
    """Cut the entries into batches of these sizes, and one of what is left."""
    found = []
    for size in [*sizes, len(entries)]:
        if entries:
            found.append(EntryBatch.of(entries[:size]))
            entries = entries[size:]
    return found


@given(before=states, after=states, old_cuts=cuts, new_cuts=cuts)
def test_the_changes_are_those_of_the_dictionaries(
    before: dict[str, int], after: dict[str, int], old_cuts: list[int], new_cuts: list[int]
) -> None:
    old = {key: entry(key, f"v{version}") for key, version in before.items()}
    new = {key: entry(key, f"v{version}") for key, version in after.items()}
    expected = [Change(key, new.get(key)) for key in sorted(old | new) if old.get(key) != new.get(key)]
    found = diff_batches(batches(sorted(old.values()), old_cuts), batches(sorted(new.values()), new_cuts))
    assert list(found) == expected


def test_every_field_counts() -> None:
    one = Entry("k", "v", 1, "e", 5)
    for other in (
        Entry("k", "w", 1, "e", 5),
        Entry("k", "v", 2, "e", 5),
        Entry("k", "v", 1, "f", 5),
        one._replace(last_modified=6),
    ):
        assert list(diff_batches([EntryBatch.of([one])], [EntryBatch.of([other])])) == [Change("k", other)]
        assert list(diff_batches([EntryBatch.of([one])], [EntryBatch.of([one])])) == []
