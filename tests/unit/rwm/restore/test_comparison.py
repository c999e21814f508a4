"""Which of the entries that are wanted are there."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwm.model import Entry, ObjectVersion
from rwm.restore.comparison import Match, Pair, current_entry, pair_by_key

A, B = hashlib.md5(b"a").hexdigest(), hashlib.md5(b"b").hexdigest()


def entry(key: str, size: int = 1, etag: str = A) -> Entry:
    return Entry(key, "v", size, etag, 0)


@pytest.mark.parametrize(
    ("wanted", "found", "match"),
    [
        (entry("k"), entry("k"), Match.SAME),
        (entry("k", etag=f"{A}-2"), entry("k", etag=f"{A}-2"), Match.SAME),
        (entry("k", etag=f"{A}-2"), entry("k", etag=B), Match.ALIKE),
        (entry("k"), entry("k", etag=B), Match.ETAG),
        (entry("k", size=2), entry("k"), Match.SIZE),
        (entry("k"), None, Match.MISSING),
        (None, entry("k"), Match.FOREIGN),
        (entry("k", size=0), current_entry(ObjectVersion("t/k", "v", True, True, 0, "", 0), "k"), Match.DELETED),
    ],
)
def test_match(wanted: Entry | None, found: Entry | None, match: Match) -> None:
    assert Pair("k", wanted, found).match is match


keys = st.sets(st.text(alphabet="ab/", max_size=3), max_size=8)


@given(wanted=keys, found=keys)
def test_each_key_of_either_comes_once_in_order(wanted: set[str], found: set[str]) -> None:
    pairs = list(pair_by_key(map(entry, sorted(wanted)), map(entry, sorted(found))))
    assert [pair.key for pair in pairs] == sorted(wanted | found)
    assert {pair.key for pair in pairs if pair.wanted} == wanted
    assert {pair.key for pair in pairs if pair.found} == found
