"""The order in which a bucket is looked at: a snapshot that is seen has its index and packs there already."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rwm.location import Location
from rwm.s3.listing.history import list_histories, listing_order
from tests.unit.memory import MemoryS3


def test_snapshots_then_indexes_then_the_rest_then_data() -> None:
    found = listing_order(["data/", "index/", "keys/", "locks/", "rwm/", "snapshots/", "0/", "zzz/"])
    assert found == ["snapshots/", "index/", "0/", "keys/", "locks/", "zzz/", "data/"]


@given(prefixes=st.sets(st.sampled_from(["data/", "index/", "snapshots/", "rwm/", "keys/", "Data/", "a/", "z/"])))
def test_every_prefix_but_our_own_is_listed_once(prefixes: set[str]) -> None:
    order = listing_order(prefixes)
    assert sorted(order) == sorted(prefixes - {"rwm/"})
    assert order[-1:] == ["data/"] or "data/" not in prefixes


def test_every_key_comes_once_with_its_whole_history() -> None:
    s3 = MemoryS3("bucket1")
    for key in ("config", "data/00/a", "data-2/x", "index/i", "snapshots/s", "rwm/states/forged"):
        s3.put("bucket1", key, b"1")
        s3.put("bucket1", key, b"22")
    s3.delete("bucket1", "config")
    found = [history for part in list_histories(s3, Location("bucket1")) for history in part]
    assert [history[0].key for history in found] == ["config", "snapshots/s", "index/i", "data-2/x", "data/00/a"]
    assert [[entry.size for entry in history] for history in found] == [[0, 2, 1]] + [[2, 1]] * 4


def test_data_is_not_looked_at_before_all_else_is_done() -> None:
    """What is written while the listing runs: packs that are there when their snapshot is seen are taken."""
    s3 = MemoryS3("bucket1")
    s3.put("bucket1", "snapshots/old", b"s")
    s3.put("bucket1", "data/00/old", b"p")
    parts = list_histories(s3, Location("bucket1"))
    assert not [*next(parts)]
    seen = [history[0].key for history in next(parts)]
    s3.put("bucket1", "data/01/new", b"p")
    seen += [history[0].key for part in parts for history in part]
    assert seen == ["snapshots/old", "data/00/old", "data/01/new"]
