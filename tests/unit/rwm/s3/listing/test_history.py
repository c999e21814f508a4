"""Every key of a location comes once, with all its versions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwm.location import Location
from rwm.s3.listing.history import list_histories, listing_order
from tests.unit.memory import MemoryS3

NAMES = ["data/", "index/", "snapshots/", "rwm/", "keys/", "Data/", "a/", "z/"]


@pytest.mark.parametrize("prefix", ["", "host1/"])
def test_data_comes_last(prefix: str) -> None:
    names = ["data/", "index/", "keys/", "locks/", "snapshots/", "0/", "zzz/"]
    found = listing_order([prefix + name for name in names], Location("bucket1", prefix))
    assert found == [prefix + name for name in ["0/", "index/", "keys/", "locks/", "snapshots/", "zzz/", "data/"]]


@given(prefixes=st.sets(st.sampled_from(NAMES)), own=st.booleans())
def test_every_prefix_but_our_own_is_listed_once(prefixes: set[str], own: bool) -> None:
    order = listing_order(prefixes, Location("bucket1"), own=own)
    assert sorted(order) == sorted(prefixes if own else prefixes - {"rwm/"})
    assert order[-1:] == ["data/"] or "data/" not in prefixes


def keys_below(s3: MemoryS3, location: Location, *, own: bool = False) -> list[str]:
    return [history[0].key for part in list_histories(s3, location, own=own) for history in part]


def test_every_key_comes_once_with_its_whole_history() -> None:
    s3 = MemoryS3("bucket1")
    for key in ("config", "data/00/a", "data-2/x", "index/i", "snapshots/s", "rwm/states/forged"):
        s3.put("bucket1", key, b"1")
        s3.put("bucket1", key, b"22")
    s3.delete("bucket1", "config")
    found = [history for part in list_histories(s3, Location("bucket1")) for history in part]
    assert [history[0].key for history in found] == ["config", "data-2/x", "index/i", "snapshots/s", "data/00/a"]
    assert [[entry.size for entry in history] for history in found] == [[0, 2, 1]] + [[2, 1]] * 4


def test_only_state_files_are_our_own_below_a_prefix() -> None:
    s3 = MemoryS3("bucket1")
    own = ["rwm/notes", "rwm/states/s", "host1/rwm/states/s", "a/b/rwm/states/s", "host1/data/rwm/states/s"]
    others = ["host1/config", "host1/rwm/notes", "host1/data/00/p", "host10/config", "a/rwm"]
    for key in (*own, *others):
        s3.put("bucket1", key, b"1")
    assert sorted(keys_below(s3, Location("bucket1"))) == sorted(others)
    assert sorted(keys_below(s3, Location("bucket1"), own=True)) == sorted([*own, *others])
    assert sorted(keys_below(s3, Location("bucket1", "host1/"))) == [
        "host1/config",
        "host1/data/00/p",
        "host1/rwm/notes",
    ]
