"""``rwm state list``."""

from __future__ import annotations

import pytest

from rwm.times import iso
from tests.unit.memory import MemoryS3
from tests.unit.rwm.cli.state_helpers import ADMIN, HERE, list_states, list_trusts
from tests.unit.terminal import Terminal


def test_list_shows_the_trust_of_each_state(rwm_: Terminal, s3: MemoryS3, captured: list[str]) -> None:
    assert list_trusts(rwm_, HERE) == ["own", "own", "own"]
    assert {state["verified_at"] for state in list_states(rwm_, conf=HERE)} == {None}
    assert rwm_(*ADMIN, "sync", "bucket1") == 0
    states = list_states(rwm_)
    assert [state["id"] for state in states] == captured
    assert set(states[0]) == {
        "id", "bucket", "prefix", "captured_at", "origin", "outcome", "objects", "bytes", "trust", "verified_at",
    }  # fmt: skip
    assert {state["trust"] for state in states} == {"verified"}
    assert all(state["verified_at"].endswith("Z") for state in states)
    assert rwm_(*ADMIN, "list") == 0
    heading, _, *rows = rwm_.out.splitlines()
    assert heading.split() == ["id", "location", "captured", "at", "age", "origin", "trust", "objects", "size"]
    assert [row.split()[0] for row in rows] == [state[:12] for state in captured]
    assert all(" verified " in row for row in rows)


def test_list_of_a_bucket(rwm_: Terminal, synced: list[str]) -> None:
    for words in (("bucket1",), ("-b", "bucket1"), ("--bucket", "bucket1", "bucket1")):
        assert len(list_states(rwm_, *words)) == 3
    assert list_states(rwm_, "other") == []
    assert "no state of bucket other is in the index" in rwm_.err
    assert "`rwm state sync BUCKET`" in rwm_.err
    assert rwm_(*ADMIN, "list", "") == 2, "an empty variable in a script is no wish for all"
    assert rwm_(*ADMIN, "list", "bucket1", "-b", "other") == 2
    assert rwm_.err == "rwm: two buckets are named: bucket1 and other\n"


def test_list_since(rwm_: Terminal, synced: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    times = [state["captured_at"] for state in list_states(rwm_)]
    assert len(list_states(rwm_, "--since", times[1])) == 2
    assert len(list_states(rwm_, "--since", "2001-01-01")) == 3
    assert list_states(rwm_, "--since", "2100-01-01") == []
    assert "since 2100-01-01T00:00:00Z" in rwm_.err
    now = 1_700_000_000 + 3600
    monkeypatch.setattr("rwm.cli.state_list.time.time", lambda: now + 0.75)
    assert len(list_states(rwm_, "--since", "2h")) == 3
    assert list_states(rwm_, "--since", "5m") == []
    assert f"since {iso((now - 300) * 1000)} " in rwm_.err
    for wrong in ("soon", "", "3", "-1d"):
        assert rwm_(*ADMIN, "list", "--since", wrong) == 2
        assert rwm_.err.startswith(f"rwm: {wrong!r} is neither a time nor an age\n  write it as")
    assert rwm_(*ADMIN, "list", "--since", "2026-99-01") == 2


def test_all_goes_with_no_bucket(rwm_: Terminal, s3: MemoryS3) -> None:
    for words in (("bucket1",), ("-b", "bucket1/host1"), ("--since", "1d")):
        assert rwm_(*HERE, "list", "--all", *words) == 2
        assert rwm_.err.startswith("rwm: --all is about every bucket")
