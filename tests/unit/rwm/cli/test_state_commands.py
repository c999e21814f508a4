"""``rwm state list|sync|export|import|forget``: what is printed, exit codes, JSON, and that faults leave nothing."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import os
import sqlite3
import sys
from collections import namedtuple
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from rwm import process
from rwm.cli import state as state_commands
from rwm.cli.state_sync import MAX_CONTRADICTIONS
from rwm.errors import AccessDenied, S3Error, Unreachable
from rwm.model import Entry, StateInfo
from rwm.statefile.canonical import canonical_form, file_key, identified
from rwm.times import iso
from tests import ROOT
from tests.unit.memory import MemoryS3
from tests.unit.terminal import Terminal

HERE = ("-c", "here.conf", "state")
ADMIN = ("-c", "admin.conf", "state")
NASTY = "b\n\x1b[31m`x`$(y) z"


@pytest.fixture
def captured(rwm_: Terminal, s3: MemoryS3) -> list[str]:
    """Ids of three states that the machine captured; the admin's index, of admin.conf, knows none of them."""
    rwm_.configure("admin")
    found = []
    for number in range(3):
        s3.put("bucket1", f"data/{number}", b"x" * number)
        s3.now += 10_000
        assert rwm_(*HERE, "capture", "bucket1", "--json") == 0
        found.append(json.loads(rwm_.out)["id"])
        s3.now += 10_000
    return found


@pytest.fixture
def synced(rwm_: Terminal, captured: list[str]) -> list[str]:
    """The same, and the admin's index has them."""
    assert rwm_(*ADMIN, "sync", "bucket1") == 0
    return captured


def listed(rwm_: Terminal, *words: str, conf: Sequence[str] = ADMIN) -> list[dict[str, Any]]:
    assert rwm_(*conf, "list", "--json", *words) == 0
    found: list[dict[str, Any]] = json.loads(rwm_.out)
    return found


def trusts(rwm_: Terminal, conf: Sequence[str] = ADMIN) -> list[str]:
    return [state["trust"] for state in listed(rwm_, conf=conf)]


def made(bucket: str, second: int, entries: Sequence[Entry] = ()) -> tuple[StateInfo, bytes]:
    """A state and its file, as somebody would forge them."""
    info = StateInfo("", bucket, second * 1000, "backup", len(entries), sum(entry.size for entry in entries), "ok")
    info = identified(info, entries)
    return info, gzip.compress(b"".join(canonical_form(info, entries)))


def forge(s3: MemoryS3, *keys: str, after: int = 60) -> StateInfo:
    """A state file in the bucket: every key at a time when none of them was there any more, or yet."""
    s3.now += after * 1000
    info, body = made("bucket1", s3.now // 1000 - 30, [Entry(key, "v0", 1, "x", 1000) for key in sorted(keys)])
    s3.put("bucket1", file_key(info), body)
    return info


def original(s3: MemoryS3) -> str:
    """The key of a state file as the original tool writes it."""
    s3.now += 10_000
    started = iso(s3.now // 1000 * 1000)
    versions = [
        {
            "Key": entry.key,
            "VersionId": entry.version_id,
            "Size": entry.size,
            "ETag": f'"{entry.etag}"',
            "LastModified": iso(entry.last_modified),
            "IsLatest": entry.is_latest,
        }
        for entry in s3.versions("bucket1")
        if not entry.is_marker
    ]
    s3.now += 10_000
    key = f"rwm/state_{started}.json.gz"
    document = {"bucket_name": "bucket1", "time_start": started, "versions": versions, "delete_markers": []}
    s3.put("bucket1", key, gzip.compress(json.dumps(document).encode()))
    return key


def state_file(s3: MemoryS3, state_id: str) -> str:
    (key,) = [key for key in s3.buckets["bucket1"] if state_id in key]
    return key


# --- list --------------------------------------------------------------------------------------------


def test_list_says_what_is_known_of_each_state(rwm_: Terminal, s3: MemoryS3, captured: list[str]) -> None:
    assert trusts(rwm_, HERE) == ["own", "own", "own"]
    assert {state["verified_at"] for state in listed(rwm_, conf=HERE)} == {None}
    assert rwm_(*ADMIN, "sync", "bucket1") == 0
    states = listed(rwm_)
    assert [state["id"] for state in states] == captured
    assert set(states[0]) == {
        "id", "bucket", "captured_at", "origin", "outcome", "objects", "bytes", "trust", "verified_at",
    }  # fmt: skip
    assert {state["trust"] for state in states} == {"verified"}
    assert all(state["verified_at"].endswith("Z") for state in states)
    assert rwm_(*ADMIN, "list") == 0
    heading, _, *rows = rwm_.out.splitlines()
    assert heading.split() == ["id", "bucket", "captured", "at", "origin", "trust", "objects", "size"]
    assert [row.split()[0] for row in rows] == [state[:12] for state in captured]
    assert all(" verified " in row for row in rows)


def test_list_of_a_bucket(rwm_: Terminal, synced: list[str]) -> None:
    for words in (("bucket1",), ("-b", "bucket1"), ("--bucket", "bucket1", "bucket1")):
        assert len(listed(rwm_, *words)) == 3
    assert listed(rwm_, "other") == []
    assert "no state of bucket other is in the index" in rwm_.err
    assert "`rwm state sync BUCKET`" in rwm_.err
    assert listed(rwm_, "") == [], "an empty variable in a script is no wish for all"
    assert rwm_(*ADMIN, "list", "bucket1", "-b", "other") == 2
    assert rwm_.err == "rwm: two buckets are named: bucket1 and other\n"


def test_list_since(rwm_: Terminal, synced: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    times = [state["captured_at"] for state in listed(rwm_)]
    assert len(listed(rwm_, "--since", times[1])) == 2
    assert len(listed(rwm_, "--since", "2001-01-01")) == 3
    assert listed(rwm_, "--since", "2100-01-01") == []
    assert "since 2100-01-01T00:00:00Z" in rwm_.err
    now = 1_700_000_000 + 3600
    monkeypatch.setattr("rwm.cli.state.time.time", lambda: now + 0.75)
    assert len(listed(rwm_, "--since", "2h")) == 3
    assert listed(rwm_, "--since", "5m") == []
    assert f"since {iso((now - 300) * 1000)} " in rwm_.err
    for wrong in ("soon", "", "3", "-1d"):
        assert rwm_(*ADMIN, "list", "--since", wrong) == 2
        assert rwm_.err.startswith(f"rwm: {wrong!r} is neither a time nor an age\n  write it as")
    assert rwm_(*ADMIN, "list", "--since", "2026-99-01") == 2


# --- sync --------------------------------------------------------------------------------------------


def test_sync_brings_what_the_bucket_holds(rwm_: Terminal, captured: list[str]) -> None:
    assert rwm_(*ADMIN, "sync", "bucket1") == 0
    assert rwm_.out.splitlines() == [
        "bucket1: 3 state files, 3 new states",
        "compared 3 states with the bucket's history: 3 verified",
    ]
    assert rwm_.err == ""
    assert rwm_(*ADMIN, "sync", "bucket1") == 0
    assert (rwm_.out, rwm_.err) == ("bucket1: 3 state files, 0 new states\n", "")
    assert [state["id"] for state in listed(rwm_)] == captured


def test_sync_is_the_same_for_scripts(rwm_: Terminal, captured: list[str]) -> None:
    assert rwm_(*ADMIN, "sync", "bucket1", "--json") == 0
    document = json.loads(rwm_.out)
    assert list(document) == ["bucket", "files", "recorded", "rejected", "unread", "compared"]
    assert (document["bucket"], document["files"], document["recorded"]) == ("bucket1", 3, captured)
    assert document["rejected"] == document["unread"] == []
    assert [one["id"] for one in document["compared"]] == captured
    assert document["compared"][0]["trust"] == "verified"
    assert document["compared"][0]["entries"] == {"verified": 2, "contradicted": 0, "unknown": 0}
    assert document["compared"][0]["contradictions"] == []


def test_verbose_sync_shows_verified_states_one_by_one(rwm_: Terminal, captured: list[str]) -> None:
    assert rwm_(*ADMIN, "sync", "bucket1", "-v") == 0
    shown = [line for line in rwm_.out.splitlines() if line.startswith("state ")]
    assert [line.split()[1] for line in shown] == [state[:12] for state in captured]
    assert all(line.endswith(": verified") for line in shown)


def test_forged_states_and_other_files_are_told_one_by_one(rwm_: Terminal, s3: MemoryS3, captured: list[str]) -> None:
    forged = forge(s3, "config", *(f"data/{NASTY}{n:02}" for n in range(12)))
    s3.put("bucket1", "rwm/states/junk", b"")
    assert rwm_(*ADMIN, "sync", "bucket1") == 4
    lines = rwm_.out.splitlines()
    assert lines[0] == "bucket1: 5 state files, 4 new states"
    assert lines[1].startswith("rejected rwm/states/junk (version v")
    assert lines[1].endswith("): its name is not that of a state file")
    assert lines[2] == f"state {forged.id[:12]} of {iso(forged.captured_at)}: contradicted: 4 differences"
    assert lines[3].startswith("  config version v0: the bucket's version has another size")
    assert lines[-1] == "compared 4 states with the bucket's history: 3 verified, 1 contradicted"
    assert rwm_.err.startswith(
        "rwm: bucket bucket1 has 1 state that is contradicted by its history and 1 file that is not a state of it\n"
        "  an account"
    )
    assert trusts(rwm_) == ["verified", "verified", "verified", "contradicted"]
    # It was told; a timer tells it once.
    assert rwm_(*ADMIN, "sync", "bucket1") == 0
    assert rwm_.err == "1 state of bucket1 was contradicted in an earlier sync\n"
    assert rwm_(*ADMIN, "sync", "bucket1", "--again", "--json") == 4
    document = json.loads(rwm_.out)
    assert [file["key"] for file in document["rejected"]] == ["rwm/states/junk"]
    assert set(document["rejected"][0]) == {"key", "version_id", "why"}
    fault = document["compared"][-1]["contradictions"][0]
    assert list(fault) == ["key", "version_id", "why"]


def test_many_contradictions_are_cut_short(rwm_: Terminal, s3: MemoryS3, captured: list[str]) -> None:
    for number in range(30):
        s3.put("bucket1", f"data/{NASTY}{number}", b"x")
    forge(s3)
    assert rwm_(*ADMIN, "sync", "bucket1") == 4
    assert sum("the state lacks a key that was there" in line for line in rwm_.out.splitlines()) == MAX_CONTRADICTIONS
    assert f"  and {34 - MAX_CONTRADICTIONS} more" in rwm_.out.splitlines()
    assert "\x1b" not in rwm_.out
    assert rwm_(*ADMIN, "sync", "bucket1", "--again", "--json") == 4
    assert json.loads(rwm_.out)["compared"][-1]["entries"]["contradicted"] == 34


def test_a_latest_state_that_is_contradicted_is_not_latest(rwm_: Terminal, s3: MemoryS3, captured: list[str]) -> None:
    forged = forge(s3)
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


def test_sync_of_a_bucket_without_states_says_what_to_do(rwm_: Terminal, s3: MemoryS3) -> None:
    assert rwm_(*HERE, "sync", "bucket1") == 0
    assert rwm_.out == "bucket1: 0 state files, 0 new states\n"
    assert "`rwm state capture bucket1 --at TIME`" in rwm_.err


def test_sync_reads_the_files_of_the_original_tool(rwm_: Terminal, s3: MemoryS3, captured: list[str]) -> None:
    key = original(s3)
    assert rwm_(*ADMIN, "sync", "bucket1") == 0
    assert [state["origin"] for state in listed(rwm_)] == ["capture", "capture", "capture", "original"]
    assert trusts(rwm_)[-1] == "verified"
    alias = ("storage_restore_state", "bucket1")
    assert rwm_("-c", "admin.conf", *alias, "there", key) == 0
    assert s3.present("there").keys() == {"config", "data/0", "data/1", "data/2"}
    assert rwm_("-c", "admin.conf", *alias, "not-there", key.replace("202", "201")) == 1
    assert "no state is recorded for the file rwm/state_" in rwm_.err
    assert "`rwm state sync bucket1`" in rwm_.err
    assert rwm_("-c", "here.conf", *alias, "not-there", key) == 1, "that index has not seen it"
    assert "not-there" not in s3.buckets


def test_sync_again_brings_forgotten_states_back(rwm_: Terminal, synced: list[str]) -> None:
    assert rwm_(*ADMIN, "forget", synced[1], "--yes") == 0
    assert rwm_(*ADMIN, "sync", "bucket1") == 0
    assert [state["id"] for state in listed(rwm_)] == [synced[0], synced[2]]
    assert rwm_(*ADMIN, "sync", "bucket1", "--again") == 0
    assert "bucket1: 3 state files, 1 new state\n" in rwm_.out
    assert [state["id"] for state in listed(rwm_)] == synced


class Trouble(MemoryS3):
    """Reading fails where it is told to."""

    faults: dict[str, S3Error]

    def stream(self, bucket: str, key: str, version_id: str | None = None) -> Iterator[bytes]:
        for part, fault in self.faults.items():
            if part in key:
                raise fault
        return super().stream(bucket, key, version_id)


@pytest.fixture
def trouble(s3: MemoryS3, captured: list[str]) -> dict[str, S3Error]:
    """Errors that reading a key raises, by a part of the key."""
    s3.__class__ = Trouble
    assert isinstance(s3, Trouble)
    s3.faults = {}
    return s3.faults


@pytest.mark.parametrize("fault", [AccessDenied("GetObject: 403"), S3Error("GetObject: InvalidRequest (HTTP 400)")])
def test_a_file_that_the_server_keeps_back_does_not_keep_the_others(
    rwm_: Terminal, s3: MemoryS3, captured: list[str], trouble: dict[str, S3Error], fault: S3Error
) -> None:
    """Whoever may write can encrypt an object with a key of its own, or send it to a class that cannot be read."""
    info, body = made("bucket1", 1_600_000_000)
    s3.put("bucket1", file_key(info), body)
    trouble[info.id] = fault
    assert rwm_(*ADMIN, "sync", "bucket1") == 3
    assert f"could not be read: {file_key(info)} (version v" in rwm_.out
    assert rwm_.err.startswith("rwm: 1 state file of bucket bucket1 could not be read\n  the other states")
    assert [state["id"] for state in listed(rwm_)] == captured
    assert rwm_(*ADMIN, "sync", "bucket1", "--json") == 3, "it is tried again"
    assert [file["key"] for file in json.loads(rwm_.out)["unread"]] == [file_key(info)]
    trouble.clear()
    assert rwm_(*ADMIN, "sync", "bucket1") == 0
    assert len(listed(rwm_)) == 4


def test_a_file_too_large_for_this_computer_does_not_keep_the_others(
    rwm_: Terminal, s3: MemoryS3, captured: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    info, _ = made("bucket1", 1_600_000_000)
    s3.put("bucket1", file_key(info), b"x" * 50_000)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("rwm.states.sync.shutil.disk_usage", lambda path: usage(0, 0, 49_999))
    assert rwm_(*ADMIN, "sync", "bucket1") == 3
    assert "its 50000 bytes are more than there is room for in" in rwm_.out
    assert [state["id"] for state in listed(rwm_)] == captured


def test_an_account_that_may_read_nothing_is_told_so(
    rwm_: Terminal, captured: list[str], trouble: dict[str, S3Error]
) -> None:
    trouble["rwm/"] = AccessDenied("GetObject rwm/states/x: AccessDenied (HTTP 403)")
    assert rwm_(*ADMIN, "sync", "bucket1") == 6
    assert rwm_.out == ""
    assert rwm_.err.startswith("rwm: GetObject rwm/states/x: AccessDenied (HTTP 403)\n  the machine's account may not")
    assert listed(rwm_) == []


def test_a_network_that_ends_leaves_what_was_brought_and_goes_on_later(
    rwm_: Terminal, captured: list[str], trouble: dict[str, S3Error]
) -> None:
    trouble[captured[2]] = Unreachable("GetObject: no usable answer")
    assert rwm_(*ADMIN, "sync", "bucket1") == 1
    assert rwm_.err == "rwm: GetObject: no usable answer\n"
    assert trusts(rwm_) == ["unchecked", "unchecked"]
    trouble.clear()
    assert rwm_(*ADMIN, "sync", "bucket1") == 0
    assert trusts(rwm_) == ["verified"] * 3


def test_a_damaged_index_is_moved_away_and_made_anew(rwm_: Terminal, s3: MemoryS3, synced: list[str]) -> None:
    path = rwm_.directory / "admin.sqlite"
    path.write_bytes(b"garbage " * 1000)
    Path(f"{path}-wal").unlink(missing_ok=True)
    assert rwm_(*ADMIN, "list") == 1
    assert "rwm state sync" in rwm_.err
    # While the bucket cannot be asked, nothing is moved.
    assert rwm_(*ADMIN, "sync", "no-such-bucket") == 1
    assert path.read_bytes().startswith(b"garbage")
    assert rwm_(*ADMIN, "sync", "bucket1") == 0
    assert "warning: index" in rwm_.err
    assert "the damaged index was moved to" in rwm_.err
    assert "sync every other bucket that was in it, too" in rwm_.err
    assert [state["id"] for state in listed(rwm_)] == synced
    (aside,) = rwm_.directory.glob("admin.sqlite.damaged-*Z")
    assert aside.read_bytes().startswith(b"garbage")


def test_an_index_that_is_damaged_inside_is_noticed_by_sync(rwm_: Terminal, synced: list[str]) -> None:
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
    assert [state["id"] for state in listed(rwm_)] == synced


# --- export ------------------------------------------------------------------------------------------


def test_export_gives_the_canonical_form_whose_hash_is_the_id(rwm_: Terminal, synced: list[str]) -> None:
    for name in ("state.jsonl", "state.jsonl.gz"):
        assert rwm_(*ADMIN, "export", synced[1], name) == 0
        assert rwm_.out == f"state {synced[1][:12]} of bucket1: 3 objects, 3 B, in {name}\n"
    body = (rwm_.directory / "state.jsonl").read_bytes()
    assert hashlib.sha256(body).hexdigest() == synced[1]
    assert gzip.decompress((rwm_.directory / "state.jsonl.gz").read_bytes()) == body
    assert (rwm_.directory / "state.jsonl").stat().st_mode & 0o777 == 0o600


def test_export_as_csv(rwm_: Terminal, s3: MemoryS3, captured: list[str]) -> None:
    s3.put("bucket1", 'a,"b\n', b"x")
    s3.now += 10_000
    rwm_(*HERE, "capture", "bucket1")
    assert rwm_(*HERE, "export", "latest", "state.csv", "-b", "bucket1", "--json") == 0
    document = json.loads(rwm_.out)
    assert document["file"] == "state.csv"
    assert {"id", "bucket", "captured_at", "objects", "bytes"} < set(document)
    rows = list(csv.reader(io.StringIO((rwm_.directory / "state.csv").read_bytes().decode(), newline="")))
    assert rows[0] == ["key", "version_id", "size", "etag", "last_modified"]
    assert [row[0] for row in rows[1:]] == ['a,"b\n', "config", "data/0", "data/1", "data/2"]
    assert all(row[4].endswith("Z") for row in rows[1:])


def test_the_form_is_that_of_the_name_unless_it_is_said(rwm_: Terminal, synced: list[str]) -> None:
    for name, words, start in (
        ("x.txt", ["--format", "csv"], b"key,version_id"),
        ("x.csv", ["--format", "jsonl"], b'{"format"'),
        ("x.gz", ["--format", "csv"], b"\x1f\x8b"),
    ):
        assert rwm_(*ADMIN, "export", synced[0], name, *words) == 0
        assert (rwm_.directory / name).read_bytes().startswith(start)
    assert rwm_(*ADMIN, "export", synced[0], "y.txt") == 2
    assert rwm_.err == "rwm: y.txt: the format is unknown\n  end the name in .jsonl or .csv, or use --format\n"
    assert rwm_(*ADMIN, "export", synced[0], "y.csv", "--format", "xml") == 2
    assert not list(rwm_.directory.glob("y*"))


def test_export_to_standard_output(rwm_: Terminal, synced: list[str]) -> None:
    for words in ((), ("--json",)):
        assert rwm_(*ADMIN, "export", synced[0], "-", *words) == 0
        assert hashlib.sha256(rwm_.out.encode()).hexdigest() == synced[0]
    assert rwm_(*ADMIN, "export", synced[0], "-", "--format", "csv") == 0
    assert rwm_.out.startswith("key,version_id,")
    assert not (rwm_.directory / "-").exists()


def test_export_never_overwrites_and_leaves_no_half_of_a_file(
    rwm_: Terminal, synced: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (rwm_.directory / "there.csv").write_text("precious")
    (rwm_.directory / "link.csv").symlink_to("elsewhere.csv")
    for name in ("there.csv", "link.csv"):
        assert rwm_(*ADMIN, "export", synced[0], name) == 5
        assert rwm_.err == f"rwm: {name} already exists\n  name another file, or remove it\n"
    assert (rwm_.directory / "there.csv").read_text() == "precious"
    for name in (".", ""):
        assert rwm_(*ADMIN, "export", synced[0], name, "--format", "csv") == 2
        assert rwm_.err.startswith("rwm: . is a directory\n")
    assert rwm_(*ADMIN, "export", synced[0], "no/x.csv") == 1
    assert rwm_.err.startswith("rwm: no/x.csv: No such file or directory\n  name a file in a directory")
    assert rwm_(*ADMIN, "export", "f" * 64, "x.csv") == 1
    assert rwm_(*ADMIN, "export", "latest", "x.csv") == 2

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rwm.states.write_state", full)
    assert rwm_(*ADMIN, "export", synced[0], "x.csv") == 1
    assert rwm_.err.startswith("rwm: x.csv: No space left on device\n  free some space")
    assert rwm_(*ADMIN, "export", synced[0], "-") == 1
    assert rwm_.err == "rwm: standard output: No space left on device\n  the output is incomplete\n"
    assert sorted(path.name for path in rwm_.directory.glob("*.csv")) == ["link.csv", "there.csv"]


def test_a_path_cannot_move_the_cursor(rwm_: Terminal, synced: list[str]) -> None:
    assert rwm_(*ADMIN, "export", synced[0], "x\x1b[31m.csv") == 0
    assert rwm_.out.endswith("in x\\x1b[31m.csv\n")


@pytest.mark.parametrize(("line", "code"), [("| head -c 1", "1 0"), ("> /dev/full; (exit $?)", "1")])
def test_export_into_a_pipe_that_closes_or_a_device_that_is_full(
    rwm_: Terminal, s3: MemoryS3, line: str, code: str
) -> None:
    info, body = made("bucket1", 1_600_000_000, [Entry(f"{n:0100}", "v", 1, "e", 1000) for n in range(3000)])
    (rwm_.directory / "big.jsonl.gz").write_bytes(body)
    assert rwm_(*HERE, "import", "big.jsonl.gz") == 0
    export = f"{sys.executable} -m rwm -c here.conf state export {info.id} -"
    done = process.run(
        ["bash", "-c", f'{export} {line}; echo " ${{PIPESTATUS[@]}}"'],
        cwd=rwm_.directory,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.stdout.split(" ", 1)[1] == f"{code}\n"
    assert "internal" not in done.stderr
    assert "Exception" not in done.stderr
    assert (done.stderr == "") == ("head" in line)


# --- import ------------------------------------------------------------------------------------------


def copy_files(s3: MemoryS3, directory: Path) -> list[str]:
    """The state files of the bucket as local ones, oldest first."""
    keys = sorted(key for key in s3.buckets["bucket1"] if key.startswith("rwm/states/"))
    for key in keys:
        (directory / key.rpartition("/")[2]).write_bytes(b"".join(s3.stream("bucket1", key)))
    return [key.rpartition("/")[2] for key in keys]


def test_import_takes_files_without_asking_the_bucket(rwm_: Terminal, s3: MemoryS3, captured: list[str]) -> None:
    names = copy_files(s3, rwm_.directory)
    s3.buckets.clear()
    assert rwm_(*ADMIN, "import", *names) == 0
    lines = rwm_.out.splitlines()
    assert [line.split()[1] for line in lines] == [state[:12] for state in captured]
    assert lines[0].endswith("Z: 2 objects, 2 B")
    assert trusts(rwm_) == ["unchecked"] * 3
    assert rwm_(*ADMIN, "import", *names, "--json") == 0
    document = json.loads(rwm_.out)
    assert document["failures"] == []
    assert [state["id"] for state in document["states"]] == captured
    assert {state["new"] for state in document["states"]} == {False}
    assert [state["file"] for state in document["states"]] == names
    assert rwm_(*ADMIN, "import", names[0]) == 0
    assert rwm_.out.endswith(" (already recorded)\n")


def test_a_delta_may_come_before_what_it_builds_upon(rwm_: Terminal, s3: MemoryS3) -> None:
    rwm_.configure("admin")
    for number in range(100):
        s3.put("bucket1", f"data/{hashlib.sha256(bytes([number])).hexdigest()}", b"x")
    for number in range(2):
        s3.put("bucket1", f"index/{number}", b"x")
        s3.now += 10_000
        assert rwm_(*HERE, "capture", "bucket1") == 0
    full, delta = copy_files(s3, rwm_.directory)
    assert ".delta." in delta
    assert rwm_(*ADMIN, "import", delta) == 1
    assert "it builds upon state" in rwm_.err
    assert listed(rwm_) == []
    assert rwm_(*ADMIN, "import", delta, full) == 0
    assert [state["objects"] for state in listed(rwm_)] == [102, 103]


def test_import_takes_what_it_can_and_says_what_not(rwm_: Terminal, s3: MemoryS3, captured: list[str]) -> None:
    (good, *_) = copy_files(s3, rwm_.directory)
    (rwm_.directory / "bad\x1b.jsonl").write_bytes(b"garbage")
    (rwm_.directory / "cut.jsonl.gz").write_bytes((rwm_.directory / good).read_bytes()[:-20])
    os.mkfifo(rwm_.directory / "pipe")
    assert rwm_(*ADMIN, "import", "nowhere", ".", "pipe", good, "bad\x1b.jsonl", "cut.jsonl.gz", "--json") == 3
    document = json.loads(rwm_.out)
    assert [state["id"] for state in document["states"]] == captured[:1]
    assert document["states"][0]["new"] is True
    assert {failure["file"]: failure["why"] for failure in document["failures"][:3]} == {
        "nowhere": "No such file or directory",
        ".": "it is a directory",
        "pipe": "it is not a regular file",
    }
    assert len(document["failures"]) == 5
    lines = rwm_.err.splitlines()
    assert lines[0] == "warning: nowhere: No such file or directory"
    assert lines[3].startswith("warning: bad\\x1b.jsonl: ")
    assert lines[5] == "rwm: 5 files were not imported"
    assert len(listed(rwm_)) == 1


def test_an_import_of_nothing_good_is_an_error(rwm_: Terminal, s3: MemoryS3) -> None:
    assert rwm_(*HERE, "import", "nowhere") == 1
    assert rwm_.err == "rwm: nowhere: No such file or directory\n  nothing was recorded\n"
    assert rwm_(*HERE, "import", "nowhere", "no") == 1
    assert rwm_.err.splitlines()[-2:] == ["rwm: 2 files were not imported", "  nothing was recorded"]
    assert rwm_(*HERE, "import") == 2


def test_a_file_that_is_not_what_its_name_says_is_not_imported(
    rwm_: Terminal, s3: MemoryS3, captured: list[str]
) -> None:
    names = copy_files(s3, rwm_.directory)
    body = (rwm_.directory / names[0]).read_bytes()
    lie = names[0].replace(captured[0], "0" * 64)
    (rwm_.directory / lie).write_bytes(body)
    assert rwm_(*ADMIN, "import", lie) == 1
    assert f"its content has the id {captured[0]}" in rwm_.err
    (rwm_.directory / "any-other-name").write_bytes(body)
    assert rwm_(*ADMIN, "import", "any-other-name") == 0


def test_bucket_names_in_files_cannot_move_the_cursor(rwm_: Terminal, s3: MemoryS3) -> None:
    info, body = made(NASTY, 1_600_000_000)
    (rwm_.directory / "f").write_bytes(body)
    for words in (("import", "f"), ("list",), ("export", info.id, "x.csv"), ("forget", info.id, "--yes")):
        assert rwm_(*HERE, *words) == 0
        assert "\x1b" not in rwm_.out + rwm_.err
        assert "b\\n\\x1b[31m`x`$(y) z" in rwm_.out


def test_import_brings_a_forgotten_state_back_for_good(rwm_: Terminal, s3: MemoryS3, synced: list[str]) -> None:
    names = copy_files(s3, rwm_.directory)
    assert rwm_(*ADMIN, "forget", synced[0], "--yes") == 0
    assert rwm_(*ADMIN, "import", names[0]) == 0
    assert rwm_(*ADMIN, "sync", "bucket1") == 0
    assert trusts(rwm_) == ["verified"] * 3


# --- forget ------------------------------------------------------------------------------------------


def test_forget_takes_states_out_of_the_index_and_leaves_the_bucket(
    rwm_: Terminal, s3: MemoryS3, synced: list[str]
) -> None:
    before = s3.counts("bucket1")
    assert rwm_(*ADMIN, "forget", synced[0][:10], synced[0], "latest", "-b", "bucket1", "--dry-run") == 0
    assert [line.split()[:4] for line in rwm_.out.splitlines()] == [
        ["would", "forget", "state", synced[0][:12]],
        ["would", "forget", "state", synced[2][:12]],
    ]
    assert len(listed(rwm_)) == 3
    assert rwm_(*ADMIN, "forget", synced[0], "--dry-run", "--json") == 0
    assert json.loads(rwm_.out) == {"forgotten": [], "states": [synced[0]]}
    assert rwm_(*ADMIN, "forget", synced[0], "--yes", "--json") == 0
    assert json.loads(rwm_.out) == {"forgotten": [synced[0]], "states": [synced[0]]}
    assert rwm_(*ADMIN, "forget", "latest", "--bucket", "bucket1", "--yes") == 0
    assert rwm_.out.startswith(f"forgot state {synced[2][:12]} of bucket1 at ")
    assert [state["id"] for state in listed(rwm_)] == [synced[1]]
    assert s3.counts("bucket1") == before


def test_forget_asks_and_without_a_terminal_says_how_to_answer(
    rwm_: Terminal, synced: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        monkeypatch.setattr(state_commands, "MAX_NAMED", 2)
        assert rwm_(*ADMIN, "forget", *synced) == 2
    assert f"forget {synced[0][:12]} (" in rwm_.err
    assert ") and 1 more?" in rwm_.err
    assert "--yes" in rwm_.err
    assert len(listed(rwm_)) == 3


def test_one_wrong_name_and_nothing_is_forgotten(rwm_: Terminal, synced: list[str]) -> None:
    for words, code in ((("f" * 64,), 1), (("nonsense",), 1), (("latest",), 2)):
        assert rwm_(*ADMIN, "forget", synced[0], *words, "--yes") == code
    assert rwm_(*ADMIN, "forget", "--yes") == 2
    assert len(listed(rwm_)) == 3
    assert state_file_count(rwm_) == 3


def state_file_count(rwm_: Terminal) -> int:
    assert rwm_(*ADMIN, "sync", "bucket1", "--json") == 0
    count: int = json.loads(rwm_.out)["files"]
    return count
