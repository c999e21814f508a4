"""``rwm state list``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from rwm.errors import AccessDenied, Unreachable
from rwm.location import Location
from rwm.states import StateFile, sync
from rwm.states.account import DISCOVERY_LIMIT
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
    assert set(states[0]) >= {
        "id", "bucket", "prefix", "captured_at", "origin", "outcome", "objects", "bytes", "trust", "verified_at",
        "verdict", "audited_at",
    }  # fmt: skip
    assert {state["trust"] for state in states} == {"verified"}
    assert all(state["verified_at"].endswith("Z") for state in states)
    assert rwm_(*ADMIN, "list") == 0
    heading, _, *rows = rwm_.out.splitlines()
    headings = ["id", "location", "captured", "at", "age", "origin", "trust", "verdict", "verified", "objects", "size"]
    assert heading.split() == headings
    assert [row.split()[0] for row in rows] == [state[:12] for state in captured]
    assert all(" verified " in row for row in rows)


def test_list_of_a_bucket(rwm_: Terminal, synced: list[str]) -> None:
    for words in (("bucket1",), ("-b", "bucket1"), ("--bucket", "bucket1", "bucket1")):
        assert len(list_states(rwm_, *words)) == 3
    assert list_states(rwm_, "other") == []
    assert "no state of bucket other is in the index" in rwm_.err
    assert "`rwm -c admin.conf state sync other`" in rwm_.err
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


@pytest.fixture
def account(rwm_: Terminal, s3: MemoryS3, synced: list[str]) -> MemoryS3:
    """Beside bucket1: a bucket with states of two prefixes, one of them not recorded by the admin, and an empty one."""
    for bucket in ("empty", "machines"):
        s3.create_bucket(bucket)
        s3.enable_versioning(bucket)
    for prefix in ("host1/", "host2/"):
        s3.put("machines", prefix + "config", b"12")
    s3.now += 5000
    assert rwm_(*HERE, "capture", "machines/host1") == 0
    assert rwm_(*ADMIN, "sync", "machines/host1") == 0
    assert rwm_(*HERE, "capture", "machines/host2") == 0
    return s3


def list_account(rwm_: Terminal, code: int = 0) -> dict[str, dict[str, Any]]:
    assert rwm_(*ADMIN, "list", "--all", "--json") == code, rwm_.err
    return {f"{each['bucket']}/{each['prefix']}": each for each in json.loads(rwm_.out)}


def test_the_whole_account(rwm_: Terminal, account: MemoryS3, synced: list[str]) -> None:
    found = list_account(rwm_)
    counts = {location: (each["states"], each["unrecorded"]) for location, each in found.items()}
    assert counts == {"bucket1/": (3, 0), "empty/": (0, 0), "machines/host1/": (1, 0), "machines/host2/": (0, 1)}
    assert found["bucket1/"]["last"].items() <= list_states(rwm_, "bucket1")[-1].items()
    assert found["empty/"]["last"] is None
    assert rwm_(*ADMIN, "list", "--all") == 0
    assert rwm_.out.splitlines()[0].split() == [
        "location", "states", "last", "state", "captured", "at", "age", "trust", "objects", "size", "note",
    ]  # fmt: skip
    rows = {line.split()[0]: line for line in rwm_.out.splitlines()[2:]}
    assert rows["bucket1"].split()[1:3] == ["3", synced[-1][:12]]
    assert rows["empty"].split() == ["empty", "0"]
    assert rows["machines/host2"].endswith("1 not recorded")
    records = "`rwm -c admin.conf state sync machines/host2` records them"
    assert rwm_.err == f"1 location has states that are not in this index: {records}\n"


def test_an_unreadable_bucket_hides_no_other(
    rwm_: Terminal, account: MemoryS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = sync.list_state_files

    def list_or_fail(s3: MemoryS3, location: Location, **options: Any) -> Sequence[StateFile]:
        if location.bucket == "machines":
            raise Unreachable("ListObjectVersions machines: no usable answer")
        return listed(s3, location, **options)

    monkeypatch.setattr("rwm.states.account.list_state_files", list_or_fail)
    found = list_account(rwm_, code=3)
    assert found.keys() == {"bucket1/", "empty/", "machines/host1/"}
    assert found["bucket1/"]["error"] is None
    assert found["machines/host1/"]["states"] == 1
    assert found["machines/host1/"]["unrecorded"] is None
    assert found["machines/host1/"]["error"] == "ListObjectVersions machines: no usable answer"
    assert rwm_(*ADMIN, "list", "--all") == 3
    assert "not readable" in rwm_.out
    assert rwm_.err == (
        "warning: bucket machines: ListObjectVersions machines: no usable answer\n"
        "rwm: 1 of 3 buckets could not be read\n"
    )


def test_an_odd_bucket_takes_a_bounded_number_of_requests(
    rwm_: Terminal, account: MemoryS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = set()
    listed = sync.list_state_files

    def list_(s3: MemoryS3, location: Location, **options: Any) -> Sequence[StateFile]:
        limits.add(options["discovery_limit"])
        return listed(s3, location, **options)

    monkeypatch.setattr("rwm.states.account.list_state_files", list_)
    list_account(rwm_)
    assert limits == {DISCOVERY_LIMIT}


def test_states_of_the_buckets_of_others_are_listed(
    rwm_: Terminal, account: MemoryS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine owns no bucket, and may list only below its prefix."""
    monkeypatch.setattr(account, "list_buckets", list)
    assert list_account(rwm_).keys() == {"bucket1/", "machines/host1/"}


def test_keys_of_a_prefix_read_the_states_of_the_prefix(
    rwm_: Terminal, account: MemoryS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SeaweedFS lists the bucket among those of the account, which may list only below its prefix."""
    listed = sync.list_state_files

    def list_or_refuse(s3: MemoryS3, location: Location, **options: Any) -> Sequence[StateFile]:
        if location in (Location("machines"), Location("empty")):
            raise AccessDenied("ListObjectVersions: AccessDenied")
        return listed(s3, location, **options)

    monkeypatch.setattr("rwm.states.account.list_state_files", list_or_refuse)
    found = list_account(rwm_, code=3)
    assert found["machines/host1/"]["error"] is None
    assert found["machines/host1/"]["unrecorded"] == 0
    assert found["empty/"]["error"] == "ListObjectVersions: AccessDenied"


def test_all_goes_with_no_bucket(rwm_: Terminal, s3: MemoryS3) -> None:
    for words in (("bucket1",), ("-b", "bucket1/host1"), ("--since", "1d")):
        assert rwm_(*HERE, "list", "--all", *words) == 2
        assert rwm_.err.startswith("rwm: --all is about every bucket")
