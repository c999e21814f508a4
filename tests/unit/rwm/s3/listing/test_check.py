"""Page after page of a listing: what it must keep to, and what is read out of it key by key."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwm.errors import BadResponse
from rwm.model import ObjectVersion
from rwm.s3.listing.check import ListingCheck, group_by_key, is_torn


def entry(key: str, version_id: str = "v1", *, latest: bool = True, time: int = 0) -> ObjectVersion:
    return ObjectVersion(key, version_id, latest, False, 1, "etag", time)


def check(*pages: Sequence[ObjectVersion], prefix: str = "") -> None:
    """Let a listing of these pages go by."""
    watch = ListingCheck(prefix)
    for versions in pages:
        watch.check(versions)


def refused(words: str, *pages: Sequence[ObjectVersion], prefix: str = "") -> None:
    with pytest.raises(BadResponse) as error:
        check(*pages, prefix=prefix)
    assert words in error.value.message


def test_a_listing_in_order_passes_on_one_page_or_on_many() -> None:
    entries = [entry("a"), entry("a", "v0", latest=False), entry("b"), entry("c/d")]
    check(entries)
    check(*([one] for one in entries))
    check([], entries, [])


def test_a_repeated_entry() -> None:
    refused("repeats version v1 of 'a'", [entry("a"), entry("a")])
    refused("repeats version v1 of 'a'", [entry("a")], [entry("a", latest=False)])


def test_a_repeated_page() -> None:
    one = [entry("a"), entry("b")]
    refused("backwards", one, one)


def test_a_key_that_goes_backwards() -> None:
    refused("backwards: 'a' after 'b'", [entry("b")], [entry("a")])


def test_a_repeated_page_of_one_key() -> None:
    page = [entry("a", "v3"), entry("a", "v2", latest=False)]
    refused("repeats version v3 of 'a'", page, page)


@pytest.mark.parametrize(
    "listed",
    [
        [entry("a", "v2"), entry("a", "v1")],
        [entry("a", "v2", latest=False), entry("a", "null")],
        [entry("a", "v2"), entry("a", "null", latest=False, time=1)],
    ],
)
def test_versions_of_a_key_in_another_order(listed: list[ObjectVersion]) -> None:
    """It says nothing of other keys."""
    found: list[ObjectVersion] = []
    for pages in ([[entry("0"), *listed, entry("b")]], [[one] for one in (entry("0"), *listed, entry("b"))]):
        watch = ListingCheck(ambiguous=found.append)
        for page in pages:
            watch.check(page)
    assert found == [listed[1]] * 2


def test_a_version_from_before_versioning_is_in_order() -> None:
    watch = ListingCheck(ambiguous=lambda entry: pytest.fail(f"ambiguous: {entry}"))
    watch.check([entry("a", "v2", time=2), entry("a", "v1", latest=False, time=3), entry("a", "null", latest=False)])


@pytest.mark.parametrize(
    ("page", "torn"),
    [
        ([], False),
        ([entry("a", "v2"), entry("a", "v1", latest=False), entry("b")], False),
        ([entry("a", "v2", latest=False), entry("a", "v1", latest=False)], False),
        ([entry("a", "v2"), entry("a", "v1")], True),
        ([entry("a"), entry("b", "v2", latest=False), entry("b", "v1")], True),
    ],
)
def test_a_page_that_is_not_of_one_moment(page: list[ObjectVersion], torn: bool) -> None:
    assert is_torn(page) is torn


def test_a_page_that_goes_on_from_a_version_has_no_latest_one_of_its_key() -> None:
    assert is_torn([entry("a", "v1")], "a")
    assert not is_torn([entry("a", "v1", latest=False), entry("b")], "a")
    assert not is_torn([entry("b")], "a")


def test_a_key_outside_what_was_asked_for() -> None:
    check([entry("data/a")], prefix="data/")
    refused("the listing of 'data/' answered with the key 'database'", [entry("database")], prefix="data/")


keys = st.lists(st.text(alphabet="a-/0", min_size=1, max_size=4), unique=True, max_size=8)


@given(keys=keys, size=st.integers(1, 3))
def test_the_order_of_bytes_and_the_order_of_path_components_pass(keys: list[str], size: int) -> None:
    for order in (str.encode, lambda key: key.split("/")):
        entries = [entry(key) for key in sorted(keys, key=order)]
        check(*(entries[at : at + size] for at in range(0, len(entries), size)))


@given(keys=keys)
def test_any_other_order_is_refused(keys: list[str]) -> None:
    if keys not in (sorted(keys), sorted(keys, key=lambda key: key.split("/"))):
        refused("backwards", [entry(key) for key in keys])
    else:
        check([entry(key) for key in keys])


def test_a_listing_keeps_to_the_order_that_it_began_with() -> None:
    check([entry("a-b"), entry("a/b"), entry("b-c"), entry("b/c")])  # by byte
    check([entry("a/b"), entry("a-b"), entry("b/c"), entry("b-c")])  # by component
    refused("backwards", [entry("a-b"), entry("a/b")], [entry("b/c"), entry("b-c")])


@given(entries=st.lists(st.builds(entry, st.sampled_from("ab"), st.sampled_from(["v1", "v2"])), max_size=8))
def test_consecutive_entries_of_a_key_are_grouped_and_none_is_lost(entries: list[ObjectVersion]) -> None:
    groups = list(group_by_key(iter(entries)))
    assert [one for group in groups for one in group] == entries
    assert groups == [list(group) for _, group in groupby(entries, key=lambda one: one.key)]


def test_grouping_reads_no_further_than_it_must() -> None:
    taken: list[str] = []

    def listing() -> Iterable[ObjectVersion]:
        for key in "aabbb":
            taken.append(key)
            yield entry(key)

    groups = group_by_key(listing())
    assert len(next(groups)) == 2
    assert taken == ["a", "a", "b"]
