"""Generated listing pages: complete, sorted, and consistent with their request."""

from __future__ import annotations

from itertools import pairwise

import pytest

from bench import pages
from rwm.model import ObjectVersion
from rwm.names import hidden_keys
from rwm.s3.listing.pages import parse_page


def listed(versions: int, prefix: str = "", limit: int = 1000) -> list[ObjectVersion]:
    """All versions below the prefix, page by page as a client asks for them."""
    bucket = pages.Bucket(versions)
    found: list[ObjectVersion] = []
    marker: str | None = ""
    while marker is not None:
        page = parse_page(pages.page(bucket, prefix, "", marker, limit))
        assert len(page.versions) <= limit
        found += page.versions
        marker = page.next_key
    return found


@pytest.mark.parametrize("versions", [1, 999, 5000, 30_500])
def test_pages_make_one_complete_sorted_listing(versions: int) -> None:
    found = listed(versions)
    assert len(found) == len(pages.Bucket(versions)) == versions
    assert all(one.key < other.key for one, other in pairwise(found))


def test_pages_obey_prefix_marker_limit_and_delimiter() -> None:
    bucket = pages.Bucket(5000)
    everything = [version.key for version in listed(5000)]
    assert everything == [version.key for version in listed(5000, limit=7)]
    for prefix in ("data/", "data/33/", "index/", "snapshots/none"):
        assert [version.key for version in listed(5000, prefix, 300)] == [k for k in everything if k.startswith(prefix)]
    top = parse_page(pages.page(bucket, "", "/"))
    assert sorted(top.prefixes) == ["data/", "index/", "keys/", "snapshots/"]
    assert [(version.key, version.is_marker) for version in top.versions] == [("config", True)]
    below = parse_page(pages.page(bucket, "data/", "/"))
    assert (below.versions, below.next_key) == ([], None)
    assert below.prefixes == sorted({key[:8] for key in everything if key.startswith("data/")})
    some = parse_page(pages.page(bucket, "data/", "/", limit=2))
    assert some.prefixes == below.prefixes[:2]
    rest = parse_page(pages.page(bucket, "data/", "/", some.next_key or ""))
    assert rest.prefixes == below.prefixes[2:]


def test_no_key_is_hidden() -> None:
    assert hidden_keys(version.key for version in listed(5000)) == {}


@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_a_directory_can_be_listed_with_a_delimiter(limit: int) -> None:
    bucket = pages.Bucket(30_500)
    marker: str | None = ""
    found: list[ObjectVersion] = []
    while marker is not None:
        page = parse_page(pages.page(bucket, "data/33/", "/", marker, limit))
        assert not page.prefixes and len(page.versions) <= limit
        found += page.versions
        marker = page.next_key
    assert found == listed(30_500, "data/33/")


def test_find_returns_the_number_of_an_existing_key() -> None:
    bucket = pages.Bucket(5000)
    assert [bucket.find(bucket[number]) for number in (0, 17, 4999)] == [0, 17, 4999]
    assert [bucket.find(key) for key in ("", "data", "snapshots/none", bucket[17] + "0")] == [None] * 4
