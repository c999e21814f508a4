"""``rwm lock`` and ``rwm state lock``: plan, confirmation, refusals, exit codes."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from rwm.errors import AccessDenied
from rwm.s3 import DefaultRetention
from rwm.times import DAY, SECOND
from tests.unit.memory import MemoryS3
from tests.unit.terminal import Terminal

HERE = ("-c", "here.conf")
LOCK = (*HERE, "lock", "bucket1", "--keep-last", "2")


@pytest.fixture
def states(rwm_: Terminal, s3: MemoryS3) -> list[str]:
    """Ids of three states, a day apart, of a bucket with Object Lock."""
    s3.object_lock = True
    found = []
    for number in range(3):
        s3.put("bucket1", "notes", b"x" * number)
        s3.now += DAY
        assert rwm_(*HERE, "state", "capture", "bucket1", "--json") == 0
        found.append(json.loads(rwm_.out)["id"])
    s3.now += 10 * SECOND
    return found


def locked_keys(s3: MemoryS3) -> set[str]:
    """The keys of locked versions, without RWM's own."""
    return {key for key, _ in s3.retentions if not key.startswith("rwm/")}


def test_the_plan_is_shown_and_executed(rwm_: Terminal, s3: MemoryS3, states: list[str]) -> None:
    assert rwm_(*LOCK, "--dry-run", "--json") == 0
    plan = json.loads(rwm_.out)
    assert [state["id"] for state in plan["states"]] == states[1:]
    assert (plan["mode"], plan["needed_versions"], plan["lapsed"]) == ("governance", 3, 0)
    assert (plan["requests"], plan["own_files"]) == (5, 2)
    assert s3.lock_requests == []
    assert rwm_(*LOCK, "--yes") == 0
    assert "to lock now: requests" in rwm_.out and "locked 5 versions" in rwm_.out
    assert "has no default retention" in rwm_.err
    assert locked_keys(s3) == {"config", "notes"}
    assert rwm_(*LOCK, "--yes", "--json") == 0
    again = json.loads(rwm_.out)
    assert (again["requests"], again["locked"], again["failed"], again["failures"]) == (0, 0, 0, [])


def test_it_asks_and_says_what_a_lock_means(rwm_: Terminal, s3: MemoryS3, states: list[str]) -> None:
    with Path(os.devnull).open() as nothing, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", nothing)
        assert rwm_(*LOCK, "--mode", "compliance") == 2
    assert "nobody can delete these versions before 20" in rwm_.err and "--yes" in rwm_.err
    assert s3.lock_requests == []


def test_the_mode_is_that_of_the_option_the_configuration_or_the_bucket(
    rwm_: Terminal, s3: MemoryS3, states: list[str]
) -> None:
    def mode(*words: str) -> str:
        assert rwm_(*LOCK, *words, "--dry-run", "--json") == 0
        return str(json.loads(rwm_.out)["mode"])

    assert mode() == "governance"
    s3.default_lock = DefaultRetention("compliance", 30 * DAY)
    assert mode() == "compliance"
    rwm_.configure("here", lock={"mode": "governance", "every": "7d"})
    assert mode() == "governance"
    assert mode("--mode", "compliance") == "compliance"


def test_a_renewal_that_leaves_a_gap_is_refused(rwm_: Terminal, s3: MemoryS3, states: list[str]) -> None:
    s3.default_lock = DefaultRetention("governance", 10 * DAY)
    assert rwm_(*LOCK, "--every", "7d", "--yes") == 5
    assert "new versions are locked for 10 days, and the first renewal may come after 14" in rwm_.err
    assert rwm_(*LOCK, "--every", "5d", "--dry-run") == 0
    assert rwm_(*LOCK, "--every", "0", "--dry-run") == 2
    assert s3.lock_requests == []


def test_a_bucket_without_object_lock_is_one_clear_line(rwm_: Terminal, s3: MemoryS3, states: list[str]) -> None:
    s3.object_lock = False
    for words in (LOCK, (*HERE, "state", "lock", states[0], "--days", "3")):
        assert rwm_(*words, "--yes") == 1
        assert "bucket bucket1 has no Object Lock: nothing can be locked, and whoever has the admin's keys" in rwm_.err


def test_failures_are_counted_with_exit_code_3(rwm_: Terminal, s3: MemoryS3, states: list[str]) -> None:
    version = s3.present("bucket1")["notes"]
    s3.refused_locks["notes", version] = AccessDenied("no")
    assert rwm_(*LOCK, "--yes", "--json") == 3
    document = json.loads(rwm_.out)
    assert (document["locked"], document["failed"]) == (4, 1)
    assert document["failures"] == [{"key": "notes", "version_id": version, "code": "AccessDenied"}]
    assert "1 of 5 versions were not locked; the first: notes version" in rwm_.err


def test_an_account_that_may_not_lock_stops_early(
    rwm_: Terminal, s3: MemoryS3, states: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rwm.lock.execute.BATCH", 2)
    for key, history in s3.buckets["bucket1"].items():
        for entry in history:
            s3.refused_locks[key, entry.version_id] = AccessDenied("no")
            s3.refused_locks[key, entry.version_id].code = "AccessDenied"
    assert rwm_(*LOCK, "--yes") == 6
    assert "nothing was locked: this account may not set the retention" in rwm_.err
    assert len(s3.lock_requests) == 2


def test_locks_are_set_again(rwm_: Terminal, s3: MemoryS3, states: list[str]) -> None:
    """Somebody who may bypass governance has taken one away."""
    assert rwm_(*LOCK, "--yes") == 0
    before = dict(s3.retentions)
    del s3.retentions[next(pair for pair in s3.retentions if pair[0] == "notes")]
    assert rwm_(*LOCK, "--yes") == 0 and len(s3.retentions) == len(before) - 1
    assert rwm_(*LOCK, "--again", "--yes", "--json") == 0
    document = json.loads(rwm_.out)
    assert (document["requests"], document["locked"] + document["longer"]) == (5, 5)
    assert s3.retentions.keys() >= before.keys()


def test_rules_are_needed(rwm_: Terminal, s3: MemoryS3, states: list[str]) -> None:
    assert rwm_(*HERE, "lock", "bucket1") == 2
    rwm_.configure("here", keep={"daily": 2})
    assert rwm_(*HERE, "lock", "bucket1", "--dry-run") == 0


def test_no_state_to_keep(rwm_: Terminal, s3: MemoryS3) -> None:
    s3.object_lock = True
    assert rwm_(*LOCK, "--yes") == 1
    assert "`rwm -c here.conf state capture bucket1` records one" in rwm_.err


def test_one_state_is_locked(rwm_: Terminal, s3: MemoryS3, states: list[str]) -> None:
    lock = (*HERE, "state", "lock", states[0], "--yes")
    assert rwm_(*lock, "--days", "30", "--json") == 0
    document = json.loads(rwm_.out)
    assert ([state["id"] for state in document["states"]], document["locked"]) == ([states[0]], 3)
    until = {found.until for found in s3.retentions.values()}
    assert all(29 * DAY < each - s3.now <= 31 * DAY for each in until)
    assert rwm_(*lock, "--until", "2099-01-01") == 0
    assert all(found.until > max(until) for (key, _), found in s3.retentions.items() if "operations" not in key)
    for words in ((), ("--days", "1", "--until", "2099-01-01"), ("--until", "2000-01-01"), ("--until", "2106-03-01")):
        assert rwm_(*lock, *words) == 2


def test_a_prune_is_refused_while_a_locked_state_is_in_another_index_alone(
    rwm_: Terminal, s3: MemoryS3, states: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rwm.storage.admin_records.is_protected", lambda *_: True)
    s3.account = s3.owner
    assert rwm_(*HERE, "state", "lock", states[0], "--yes", "--days", "30") == 0
    rwm_.configure("other")
    other = ("-c", "other.conf")
    assert rwm_(*other, "state", "capture", "bucket1") == 0
    s3.now += 10 * SECOND
    prune = (*other, "prune", "bucket1", "--keep-last", "1", "--dry-run")
    assert rwm_(*prune) == 5
    assert f"state {states[0][:12]}" in rwm_.err and "by another computer and is not in this index" in rwm_.err
    assert "`rwm -c other.conf state sync bucket1` fetches it" in rwm_.err and "--force prunes anyway" in rwm_.err
    assert "rwm audit" not in rwm_.err
    assert rwm_(*prune, "--force") == 0
    assert "overridden: state" in rwm_.err
    assert rwm_(*other, "state", "sync", "bucket1") == 0
    assert rwm_(*prune, "--json") == 0
    assert json.loads(rwm_.out)["locked"] == 1
