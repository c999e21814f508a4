"""Changes upon another base, against contents to which they are applied."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rwm.index.batches import EntryList
from rwm.index.rebase import rebase
from rwm.model import Change, Difference, Entry

contents = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 2))


def entries(content: dict[str, int]) -> list[Entry]:
    return [Entry(key, f"v{number}", 1, "e", 0) for key, number in sorted(content.items())]


def changes(before: dict[str, int], after: dict[str, int]) -> list[Change]:
    return list(EntryList(entries(after)).differences(EntryList(entries(before)).batches()))


def differences(before: dict[str, int], after: dict[str, int]) -> list[Difference]:
    old, new = ({entry.key: entry for entry in entries(content)} for content in (before, after))
    keys = sorted(old.keys() | new.keys())
    return [Difference(key, old.get(key), new.get(key)) for key in keys if old.get(key) != new.get(key)]


@given(old=contents, new=contents, target=contents)
def test_they_lead_to_the_same_content(old: dict[str, int], new: dict[str, int], target: dict[str, int]) -> None:
    assert list(rebase(changes(old, target), differences(old, new))) == changes(new, target)
