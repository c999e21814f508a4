"""``rwm state sync``: output, JSON, exit codes, and faults."""

from __future__ import annotations

import json
import os
import sqlite3
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest

from rwm.cli.state_sync import MAX_CONTRADICTIONS
from rwm.errors import AccessDenied, S3Error, Unreachable
from rwm.statefile.canonical import file_key
from rwm.times import iso
from tests.unit.memory import MemoryS3, of_object
from tests.unit.rwm.cli.state_helpers import (
    ADMIN,
    HERE,
    HOSTILE_NAME,
    list_states,
    list_trusts,
    make_state_file,
    store_forged_state,
    store_original_file,
)
from tests.unit.terminal import Terminal


def test_sync_records_and_verifies_the_states_of_the_bucket(rwm_: Terminal, captured: list[str]) -> None:
    assert rwm_(*ADMIN, "sync", "bucket1") == 0
    assert rwm_.out.splitlines() == [
        "bucket1: 3 state files, 3 new states",
        "compared 3 states with the bucket's history: 3 verified",
    ]
    assert rwm_.err == ""
    assert rwm_(*ADMIN, "sync", "bucket1") == 0
    assert (rwm_.out, rwm_.err) == ("bucket1: 3 state files, 0 new states\n", "")
    assert [state["id"] for state in list_states(rwm_)] == captured


def test_sync_as_json(rwm_: Terminal, captured: list[str]) -> None:
    assert rwm_(*ADMIN, "sync", "bucket1", "--json") == 0
    document = json.loads(rwm_.out)
    assert list(document) == ["bucket", "prefix", "files", "recorded", "rejected", "unread", "compared"]
    assert (document["bucket"], document["files"], document["recorded"]) == ("bucket1", 3, captured)
    assert document["rejected"] == document["unread"] == []
    assert [one["id"] for one in document["compared"]] == captured
    assert document["compared"][0]["trust"] == "verified"
    assert document["compared"][0]["entries"] == {"verified": 2, "contradicted": 0, "unknown": 0}
    assert document["compared"][0]["contradictions"] == []


def test_verbose_sync_prints_each_verified_state(rwm_: Terminal, captured: list[str]) -> None:
    assert rwm_(*ADMIN, "sync", "bucket1", "-v") == 0
    shown = [line for line in rwm_.out.splitlines() if line.startswith("state ")]
    assert [line.split()[1] for line in shown] == [state[:12] for state in captured]
    assert all(line.endswith(": verified") for line in shown)


def test_forged_states_and_rejected_files_are_reported_once(rwm_: Terminal, s3: MemoryS3, captured: list[str]) -> None:
    forged = store_forged_state(s3, "config", *(f"data/{HOSTILE_NAME}{n:02}" for n in range(12)))
    s3.put("bucket1", "rwm/states/junk", b"")
    assert rwm_(*ADMIN, "sync", "bucket1") == 4
    lines = rwm_.out.splitlines()
    assert lines[0] == "bucket1: 5 state files, 4 new states"
    assert lines[1].startswith("rejected rwm/states/junk (version v")
    assert lines[1].endswith("): its name is not that of a state file")
    assert lines[2] == f"state {forged.id[:12]} of bucket1 at {iso(forged.captured_at)}: contradicted: 4 differences"
    assert lines[3].startswith("  config version v0: the bucket's version has another size")
    assert lines[-1] == "compared 4 states with the bucket's history: 3 verified, 1 contradicted"
    assert rwm_.err.startswith(
        "rwm: bucket bucket1 has 1 state that is contradicted by its history and 1 file that is not a state of it\n"
        "  an account"
    )
    assert list_trusts(rwm_) == ["verified", "verified", "verified", "contradicted"]
    # A second sync, as by a timer, does not fail again.
    assert rwm_(*ADMIN, "sync", "bucket1") == 0
    assert rwm_.err == "1 state of bucket1 was contradicted in an earlier sync\n"
    assert rwm_(*ADMIN, "sync", "bucket1", "--again", "--json") == 4
    document = json.loads(rwm_.out)
    assert [file["key"] for file in document["rejected"]] == ["rwm/states/junk"]
    assert set(document["rejected"][0]) == {"key", "version_id", "why"}
    fault = document["compared"][-1]["contradictions"][0]
    assert list(fault) == ["key", "version_id", "why"]


def test_the_number_of_printed_files_is_limited(rwm_: Terminal, s3: MemoryS3, captured: list[str]) -> None:
    for number in range(30):
        s3.put("bucket1", f"rwm/states/{number}{'x' * 900}", b"x")
    assert rwm_(*ADMIN, "sync", "bucket1") == 4
    lines = [line for line in rwm_.out.splitlines() if line.startswith(("rejected ", "… and 20 more"))]
    assert (len(lines), lines[-1]) == (11, "… and 20 more; -v prints all")
    assert max(map(len, lines)) < 250
    assert rwm_(*ADMIN, "sync", "bucket1", "--again", "-v") == 4
    assert sum(line.startswith("rejected ") for line in rwm_.out.splitlines()) == 30


def test_the_number_of_printed_contradictions_is_limited(rwm_: Terminal, s3: MemoryS3, captured: list[str]) -> None:
    for number in range(30):
        s3.put("bucket1", f"data/{HOSTILE_NAME}{number}", b"x")
    store_forged_state(s3)
    assert rwm_(*ADMIN, "sync", "bucket1") == 4
    assert sum("the state lacks a key that was there" in line for line in rwm_.out.splitlines()) == MAX_CONTRADICTIONS
    assert f"  and {34 - MAX_CONTRADICTIONS} more" in rwm_.out.splitlines()
    assert "\x1b" not in rwm_.out
    assert rwm_(*ADMIN, "sync", "bucket1", "--again", "--json") == 4
    assert json.loads(rwm_.out)["compared"][-1]["entries"]["contradicted"] == 34


def test_latest_ignores_contradicted_states(rwm_: Terminal, s3: MemoryS3, captured: list[str]) -> None:
    forged = store_forged_state(s3)
    assert rwm_(*ADMIN, "sync", "bucket1") == 4
    assert rwm_(*ADMIN, "show", "latest", "-b", "bucket1", "--json") == 0
    assert json.loads(rwm_.out)["id"] == captured[-1]
    assert rwm_(*ADMIN, "show", forged.id[:20], "--json") == 0
    assert rwm_(*ADMIN, "restore", forged.id, "--to-dir", "out") == 0
    assert f"warning: state {forged.id[:12]} is contradicted by the bucket's own history" in rwm_.err


def test_states_of_pruned_versions_are_unknown(rwm_: Terminal, s3: MemoryS3, captured: list[str]) -> None:
    s3.remove("bucket1", "data/0", s3.present("bucket1")["data/0"])
    assert rwm_(*ADMIN, "sync", "bucket1") == 0
    assert f"state {captured[1][:12]} of " in rwm_.out
    assert ": unknown: 1 of 3 versions are no longer in the bucket\n" in rwm_.out
    assert rwm_.out.endswith("history: 3 unknown\n")


def test_sync_of_a_bucket_without_states_prints_a_hint(rwm_: Terminal, s3: MemoryS3) -> None:
    assert rwm_(*HERE, "sync", "bucket1") == 0
    assert rwm_.out == "bucket1: 0 state files, 0 new states\n"
    assert "`rwm -c here.conf state capture bucket1 --at TIME`" in rwm_.err


def test_sync_reads_the_files_of_the_original_tool(rwm_: Terminal, s3: MemoryS3, captured: list[str]) -> None:
    key = store_original_file(s3)
    assert rwm_(*ADMIN, "sync", "bucket1") == 0
    assert [state["origin"] for state in list_states(rwm_)] == ["capture", "capture", "capture", "original"]
    assert list_trusts(rwm_)[-1] == "verified"
    alias = ("storage_restore_state", "bucket1")
    assert rwm_("-c", "admin.conf", *alias, "there", key) == 0
    assert s3.present("there").keys() == {"config", "data/0", "data/1", "data/2"}
    assert rwm_("-c", "admin.conf", *alias, "not-there", key.replace("202", "201")) == 1
    assert "no state is recorded for the file rwm/state_" in rwm_.err
    assert "`rwm -c admin.conf state sync bucket1`" in rwm_.err
    assert rwm_("-c", "here.conf", *alias, "not-there", key) == 1, "that index has not seen it"
    assert "not-there" not in s3.buckets


def test_sync_again_records_forgotten_states(rwm_: Terminal, synced: list[str]) -> None:
    assert rwm_(*ADMIN, "forget", synced[1], "--yes") == 0
    assert rwm_(*ADMIN, "sync", "bucket1") == 0
    assert [state["id"] for state in list_states(rwm_)] == [synced[0], synced[2]]
    assert rwm_(*ADMIN, "sync", "bucket1", "--again") == 0
    assert "bucket1: 3 state files, 1 new state\n" in rwm_.out
    assert [state["id"] for state in list_states(rwm_)] == synced


class FaultyS3(MemoryS3):
    """An account on which reads of chosen keys fail."""

    faults: dict[str, S3Error]

    def stream(self, bucket: str, key: str, version_id: str | None = None, etag: str | None = None) -> Iterator[bytes]:
        for part, fault in self.faults.items():
            if part in key:
                raise fault
        return super().stream(bucket, key, version_id, etag)


@pytest.fixture
def read_faults(s3: MemoryS3, captured: list[str]) -> dict[str, S3Error]:
    """Errors that reading a key raises, by a part of the key."""
    s3.__class__ = FaultyS3
    assert isinstance(s3, FaultyS3)
    s3.faults = {}
    return s3.faults


@pytest.mark.parametrize("fault", [AccessDenied("GetObject: 403"), S3Error("GetObject: InvalidRequest (HTTP 400)")])
def test_an_unreadable_file_does_not_stop_the_others(
    rwm_: Terminal, s3: MemoryS3, captured: list[str], read_faults: dict[str, S3Error], fault: S3Error
) -> None:
    """A writer can encrypt an object with its own key, or move it to an unreadable storage class."""
    info, body = make_state_file("bucket1", 1_600_000_000)
    version_id = s3.put("bucket1", file_key(info), body)
    read_faults[info.id] = fault
    assert rwm_(*ADMIN, "sync", "bucket1") == 3
    assert f"could not be read: {file_key(info)} (version {version_id}): {fault}\n" in rwm_.out
    assert rwm_.err.startswith("rwm: 1 state file of bucket bucket1 could not be read\n  the other states")
    assert [state["id"] for state in list_states(rwm_)] == captured
    assert rwm_(*ADMIN, "sync", "bucket1", "--json") == 3, "it is tried again"
    assert [file["key"] for file in json.loads(rwm_.out)["unread"]] == [file_key(info)]
    read_faults[info.id] = of_object(AccessDenied, file_key(info), "AccessDenied (HTTP 403)")
    assert rwm_(*ADMIN, "sync", "bucket1") == 3
    assert f"{file_key(info)} (version {version_id}): AccessDenied (HTTP 403)\n" in rwm_.out, "not its name twice"
    read_faults[info.id] = of_object(AccessDenied, "rwm/states/base", "AccessDenied (HTTP 403)")
    assert rwm_(*ADMIN, "sync", "bucket1") == 3
    assert f"(version {version_id}): GetObject bucket1/rwm/states/base version" in rwm_.out, "another file is named"
    read_faults.clear()
    assert rwm_(*ADMIN, "sync", "bucket1") == 0
    assert len(list_states(rwm_)) == 4


def test_a_file_larger_than_the_free_space_does_not_stop_the_others(
    rwm_: Terminal, s3: MemoryS3, captured: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    info, _ = make_state_file("bucket1", 1_600_000_000)
    s3.put("bucket1", file_key(info), b"x" * 50_000)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("rwm.states.sync.shutil.disk_usage", lambda path: usage(0, 0, 49_999))
    assert rwm_(*ADMIN, "sync", "bucket1") == 3
    assert "its 50000 bytes are more than the free space of" in rwm_.out
    assert [state["id"] for state in list_states(rwm_)] == captured


def test_an_account_without_read_permission_gets_exit_code_6(
    rwm_: Terminal, captured: list[str], read_faults: dict[str, S3Error]
) -> None:
    read_faults["rwm/"] = AccessDenied("GetObject rwm/states/x: AccessDenied (HTTP 403)")
    assert rwm_(*ADMIN, "sync", "bucket1") == 6
    assert rwm_.out == ""
    assert rwm_.err.startswith("rwm: GetObject rwm/states/x: AccessDenied (HTTP 403)\n  the machine's account may not")
    assert list_states(rwm_) == []


def test_after_a_network_failure_the_next_sync_continues(
    rwm_: Terminal, captured: list[str], read_faults: dict[str, S3Error]
) -> None:
    read_faults[captured[2]] = Unreachable("GetObject: no usable answer")
    assert rwm_(*ADMIN, "sync", "bucket1") == 1
    assert rwm_.err == "rwm: GetObject: no usable answer\n"
    assert list_trusts(rwm_) == ["unchecked", "unchecked"]
    read_faults.clear()
    assert rwm_(*ADMIN, "sync", "bucket1") == 0
    assert list_trusts(rwm_) == ["verified"] * 3


def test_a_damaged_index_is_moved_aside_and_rebuilt(rwm_: Terminal, s3: MemoryS3, synced: list[str]) -> None:
    path = rwm_.directory / "admin.sqlite"
    path.write_bytes(b"garbage " * 1000)
    Path(f"{path}-wal").unlink(missing_ok=True)
    assert rwm_(*ADMIN, "list") == 1
    assert "`rwm -c admin.conf state sync BUCKET`" in rwm_.err
    # While the bucket cannot be asked, nothing is moved.
    assert rwm_(*ADMIN, "sync", "no-such-bucket") == 1
    assert path.read_bytes().startswith(b"garbage")
    assert rwm_(*ADMIN, "sync", "bucket1") == 0
    assert "warning: index" in rwm_.err
    assert "the damaged index was moved to" in rwm_.err
    assert "sync every other bucket that was in it, too" in rwm_.err
    assert [state["id"] for state in list_states(rwm_)] == synced
    (aside,) = rwm_.directory.glob("admin.sqlite.damaged-*Z")
    assert aside.read_bytes().startswith(b"garbage")


def test_sync_detects_a_damaged_page_of_the_index(rwm_: Terminal, synced: list[str]) -> None:
    path = rwm_.directory / "admin.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    (root,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'version'").fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(os.urandom(size))
    assert rwm_(*ADMIN, "sync", "bucket1") == 0
    assert "the damaged index was moved to" in rwm_.err
    assert [state["id"] for state in list_states(rwm_)] == synced
