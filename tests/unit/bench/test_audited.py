"""Listings that are audited for a measurement."""

from __future__ import annotations

from itertools import chain, groupby

import pytest

from bench.audited import BUCKETS, HONEST_PART, JUNK, NOW, listings
from rwm.trust.repository_audit import PHASES

HONEST = {"honest": 0, JUNK: 0}
"""Entries of an honest repository beside those asked for."""


@pytest.mark.parametrize("name", BUCKETS)
def test_entries_of_a_key_are_consecutive_and_there_are_so_many(name: str) -> None:
    phases = [list(listing(phase)) for _, listing in listings(name, 12_000) for phase in PHASES]
    for listed in phases:
        keys = [key for key, _ in groupby(entry.key for entry in listed)]
        assert len(keys) == len(set(keys))
    entries = list(chain.from_iterable(phases))
    assert len(entries) == 12_000 + HONEST.get(name, HONEST_PART)
    assert len({(entry.key, entry.version_id) for entry in entries}) == len(entries)
    assert max(entry.last_modified for entry in entries) < NOW


def test_junk_repositories_have_three_files_each() -> None:
    found = {root: [entry.key for phase in PHASES for entry in listing(phase)] for root, listing in listings(JUNK, 9)}
    assert len(found) == 3
    assert all(len(keys) == 3 and all(key.startswith(root) for key in keys) for root, keys in found.items())
