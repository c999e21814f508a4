"""Listings that are audited for a measurement."""

from __future__ import annotations

from itertools import chain, groupby

import pytest

from bench.audited import BUCKETS, HONEST_PART, NOW
from rwm.trust.repository_audit import PHASES


@pytest.mark.parametrize("name", BUCKETS)
def test_entries_of_a_key_are_consecutive_and_there_are_so_many(name: str) -> None:
    _, made = BUCKETS[name]
    phases = [list(made(phase, 12_000)) for phase in PHASES]
    for listed in phases:
        keys = [key for key, _ in groupby(entry.key for entry in listed)]
        assert len(keys) == len(set(keys))
    entries = list(chain.from_iterable(phases))
    assert len(entries) == (12_000 if name == "honest" else HONEST_PART + 12_000)
    assert len({(entry.key, entry.version_id) for entry in entries}) == len(entries)
    assert max(entry.last_modified for entry in entries) < NOW
