"""Differences between two states, compared with those of dictionaries."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rwm.model import Entry
from rwm.states.difference import diff_states

contents = st.dictionaries(st.text(alphabet="ab/", max_size=3), st.sampled_from(["v1", "v2"]), max_size=8)


def entries(content: dict[str, str]) -> list[Entry]:
    return sorted(Entry(key, version, 1, "etag", 0) for key, version in content.items())


@given(before=contents, after=contents)
def test_differences_are_those_of_dictionaries_in_key_order(before: dict[str, str], after: dict[str, str]) -> None:
    expected = [
        (key, "+" if key not in before else "-" if key not in after else "M")
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key)
    ]
    assert [(key, kind) for kind, key in diff_states(entries(before), entries(after))] == expected


@given(content=contents)
def test_equal_states_have_no_differences(content: dict[str, str]) -> None:
    assert list(diff_states(entries(content), entries(content))) == []


def test_another_version_with_the_same_content_is_a_change() -> None:
    before, after = Entry("k", "v1", 1, "e", 0), Entry("k", "v2", 1, "e", 0)
    assert list(diff_states([before], [after])) == [("M", "k")]


def test_an_overwritten_null_version_is_a_change() -> None:
    before = Entry("k", "null", 1, "e", 0)
    assert list(diff_states([before], [before])) == []
    assert list(diff_states([before], [before._replace(size=2, etag="f", last_modified=5)])) == [("M", "k")]


def test_memory_is_constant() -> None:
    def endless(version: str) -> object:
        n = 0
        while True:
            yield Entry(f"{n:09}", version, 1, "e", 0)
            n += 1

    changes = diff_states(endless("v1"), endless("v2"))  # type: ignore[arg-type]
    assert [next(changes) for _ in range(3)] == [("M", f"{n:09}") for n in range(3)]
