"""``rwm state capture|show|diff|forget``."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path

import pytest

from rwm.cli import state as state_commands
from rwm.times import iso
from tests.unit.memory import MemoryS3
from tests.unit.rwm.cli.state_helpers import ADMIN, HERE, list_states
from tests.unit.terminal import Terminal


def test_capture_list_show_and_diff_as_json(rwm_: Terminal, s3: MemoryS3) -> None:
    assert rwm_("-c", "here.conf", "state", "capture", "bucket1", "--json") == 0
    first = json.loads(rwm_.out)
    assert set(first) >= {"id", "bucket", "prefix", "captured_at", "origin", "objects", "bytes"}
    assert len(first["id"]) == 64
    s3.put("bucket1", "config", b"{} ")
    s3.put("bucket1", "new", b"x")
    s3.now += 5000
    assert rwm_("-c", "here.conf", "state", "capture", "bucket1", "--json") == 0
    second = json.loads(rwm_.out)
    assert [info["id"] for info in list_states(rwm_, conf=HERE)] == [first["id"], second["id"]]
    assert rwm_("-c", "here.conf", "state", "show", second["id"][:12], "--json") == 0
    shown = json.loads(rwm_.out)
    assert {name: shown[name] for name in second} == second
    assert [entry["key"] for entry in shown["entries"]] == ["config", "new"]
    assert set(shown["entries"][0]) == {"key", "version_id", "size", "etag", "last_modified"}
    assert rwm_("-c", "here.conf", "state", "diff", first["id"], second["id"], "--json") == 0
    assert json.loads(rwm_.out) == {"added": ["new"], "removed": [], "changed": ["config"]}


def put_repository(s3: MemoryS3, prefix: str, *more: str) -> None:
    for name in ("config", "keys/k", "data/00/p", "index/i", "snapshots/s", *more):
        s3.put("bucket1", prefix + name, b"12")


def test_capture_of_a_prefix(rwm_: Terminal, s3: MemoryS3) -> None:
    put_repository(s3, "host1/")
    put_repository(s3, "host2/")
    s3.now += 5000
    assert rwm_(*HERE, "capture", "bucket1/host1", "--json") == 0
    info = json.loads(rwm_.out)
    assert (info["bucket"], info["prefix"], info["objects"]) == ("bucket1", "host1/", 5)
    assert rwm_(*HERE, "capture", "bucket1/host1/") == 0
    assert " of bucket1/host1 at " in rwm_.out
    assert [state["prefix"] for state in list_states(rwm_, "bucket1/host1", conf=HERE)] == ["host1/"] * 2
    assert list_states(rwm_, "bucket1/host2", conf=HERE) == []
    assert "no state of bucket1/host2 is in the index" in rwm_.err
    assert len(list_states(rwm_, "bucket1", conf=HERE)) == 2
    assert rwm_(*HERE, "show", "latest", "-b", "bucket1/host1", "--json") == 0
    assert {entry["key"].split("/")[0] for entry in json.loads(rwm_.out)["entries"]} == {"host1"}
    assert rwm_(*HERE, "show", "latest", "-b", "bucket1") == 1
    assert "of the whole of bucket bucket1 is recorded, only of bucket1/host1" in rwm_.err


def test_show_lists_the_repositories_of_a_whole_bucket(rwm_: Terminal, s3: MemoryS3) -> None:
    s3.delete("bucket1", "config")
    put_repository(s3, "host1/")
    assert rwm_(*HERE, "capture", "bucket1/host1") == 0
    put_repository(s3, "sites/host2/", "data/01/q")
    s3.put("bucket1", "notes", b"1")
    s3.now += 5000
    assert rwm_(*HERE, "capture", "bucket1") == 0
    assert rwm_(*HERE, "show", "latest", "-b", "bucket1/sites/host2") == 0
    assert len(rwm_.out.splitlines()) == 6
    assert rwm_.err.endswith("repository bucket1/sites/host2: 6 objects, 12 B\n")
    assert rwm_(*HERE, "show", "latest", "-b", "bucket1") == 0
    assert "repository bucket1/host1: 5 objects, 10 B\nrepository bucket1/sites/host2: 6 objects, 12 B\n" in rwm_.err
    assert rwm_(*HERE, "show", "latest", "-b", "bucket1", "--json") == 0
    assert json.loads(rwm_.out)["repositories"] == [
        {"prefix": "host1/", "objects": 5, "bytes": 10},
        {"prefix": "sites/host2/", "objects": 6, "bytes": 12},
    ]
    (first, _) = list_states(rwm_, conf=HERE)
    assert rwm_(*HERE, "show", first["id"]) == 0
    assert "repository" not in rwm_.err, "the state is all of it"


def test_diff_compares_what_both_states_cover(rwm_: Terminal, s3: MemoryS3) -> None:
    put_repository(s3, "host1/")
    put_repository(s3, "host2/")
    s3.now += 5000
    ids = []
    for number, name in enumerate(("bucket1/host1", "bucket1/host2", "bucket1")):
        s3.put("bucket1", f"host{number}/new", b"")
        s3.now += 5000
        assert rwm_(*HERE, "capture", name, "--json") == 0
        ids.append(json.loads(rwm_.out)["id"])
    one, two, whole = ids
    assert rwm_(*HERE, "diff", one, whole) == 0
    assert rwm_.out == "+ host1/new\n"
    assert rwm_.err == "compared: what both states cover, which is below host1/\n"
    assert rwm_(*HERE, "diff", whole, two, "--json") == 0
    assert json.loads(rwm_.out) == {"added": [], "removed": ["host2/new"], "changed": []}
    assert rwm_(*HERE, "diff", one, two) == 2
    assert rwm_.err == "rwm: the states have nothing in common: one is of bucket1/host1, the other of bucket1/host2\n"


def test_capture_at_a_past_time(rwm_: Terminal, s3: MemoryS3) -> None:
    then = s3.now
    s3.now += 60_000
    s3.put("bucket1", "new", b"x")
    s3.now += 60_000
    assert rwm_("-c", "here.conf", "state", "capture", "bucket1", "--at", iso(then + 5000)) == 0
    (info,) = list_states(rwm_, conf=HERE)
    assert (info["origin"], info["objects"], info["captured_at"]) == ("past", 1, iso(then + 5000))
    assert rwm_("-c", "here.conf", "state", "list", "bucket1") == 0
    assert info["id"][:12] in rwm_.out
    assert rwm_("-c", "here.conf", "state", "capture", "bucket1", "--at", "2100-01-01") == 2
    assert len(list_states(rwm_, conf=HERE)) == 1


def test_show_hidden_lists_hidden_keys(rwm_: Terminal, s3: MemoryS3) -> None:
    s3.put("bucket1", "a/../b", b"x")
    rwm_("-c", "here.conf", "state", "capture", "bucket1")
    assert rwm_("-c", "here.conf", "state", "show", "latest", "-b", "bucket1", "--hidden", "--json") == 0
    assert [entry["key"] for entry in json.loads(rwm_.out)["entries"]] == ["a/../b"]


def test_control_characters_in_keys_are_escaped(rwm_: Terminal, s3: MemoryS3) -> None:
    s3.put("bucket1", "evil\x1b[2J\n\r", b"x")
    for words in (["state", "capture", "bucket1"], ["state", "show", "latest", "-b", "bucket1"]):
        assert rwm_("-c", "here.conf", *words) == 0
        assert "\x1b" not in rwm_.out + rwm_.err
    assert "evil\\x1b[2J\\n\\r\n" in rwm_.out
    s3.now += 5000
    s3.delete("bucket1", "evil\x1b[2J\n\r")
    s3.now += 5000
    rwm_("-c", "here.conf", "state", "capture", "bucket1", "--json")
    older, newer = [info["id"] for info in list_states(rwm_, conf=HERE)]
    assert rwm_("-c", "here.conf", "state", "diff", older, newer) == 0
    assert (rwm_.out, rwm_.err) == ("- evil\\x1b[2J\\n\\r\n", "")
    assert rwm_("-c", "here.conf", "state", "diff", older, older) == 0
    assert (rwm_.out, rwm_.err) == ("", "no key differs\n")


def test_control_characters_in_version_ids_are_escaped(
    rwm_: Terminal, s3: MemoryS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Version ids are the server's to choose."""
    (history,) = s3.buckets["bucket1"].values()
    history[0] = history[0]._replace(version_id="v\x1b[2J\x9b")
    assert rwm_("-c", "here.conf", "state", "capture", "bucket1") == 0
    assert rwm_("-c", "here.conf", "state", "show", "latest", "-b", "bucket1") == 0
    assert rwm_.out.endswith(" v\\x1b[2J\\x9b config\n")


def test_forget_removes_states_from_the_index_only(rwm_: Terminal, s3: MemoryS3, synced: list[str]) -> None:
    before = s3.counts("bucket1")
    assert rwm_(*ADMIN, "forget", synced[0][:10], synced[0], "latest", "-b", "bucket1", "--dry-run") == 0
    assert [line.split()[:4] for line in rwm_.out.splitlines()] == [
        ["would", "forget", "state", synced[0][:12]],
        ["would", "forget", "state", synced[2][:12]],
    ]
    assert len(list_states(rwm_)) == 3
    assert rwm_(*ADMIN, "forget", synced[0], "--dry-run", "--json") == 0
    assert json.loads(rwm_.out) == {"forgotten": [], "states": [synced[0]]}
    assert rwm_(*ADMIN, "forget", synced[0], "--yes", "--json") == 0
    assert json.loads(rwm_.out) == {"forgotten": [synced[0]], "states": [synced[0]]}
    assert rwm_(*ADMIN, "forget", "latest", "--bucket", "bucket1", "--yes") == 0
    assert rwm_.out.startswith(f"forgot state {synced[2][:12]} of bucket1 at ")
    assert [state["id"] for state in list_states(rwm_)] == [synced[1]]
    assert s3.counts("bucket1") == before


def test_forget_without_a_terminal_needs_yes(
    rwm_: Terminal, synced: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        monkeypatch.setattr(state_commands, "MAX_NAMED", 2)
        assert rwm_(*ADMIN, "forget", *synced) == 2
    assert f"forget {synced[0][:12]} (" in rwm_.err
    assert ") and 1 more?" in rwm_.err
    assert "--yes" in rwm_.err
    assert len(list_states(rwm_)) == 3


def test_nothing_is_forgotten_if_one_name_is_wrong(rwm_: Terminal, synced: list[str]) -> None:
    for words, code in ((("f" * 64,), 1), (("nonsense",), 1), (("latest",), 2)):
        assert rwm_(*ADMIN, "forget", synced[0], *words, "--yes") == code
    assert rwm_(*ADMIN, "forget", "--yes") == 2
    assert len(list_states(rwm_)) == 3
    assert state_file_count(rwm_) == 3


def state_file_count(rwm_: Terminal) -> int:
    assert rwm_(*ADMIN, "sync", "bucket1", "--json") == 0
    count: int = json.loads(rwm_.out)["files"]
    return count


def test_show_says_what_is_archived_and_how_to_bring_it_back(rwm_: Terminal, s3: MemoryS3) -> None:
    key = "data/it's; \x1b[31m`x`"
    s3.put("bucket1", key, b"old")
    version = s3.put("bucket1", key, b"12345")
    s3.put("bucket1", "index/a", b"1")
    s3.now += 5000
    assert rwm_(*HERE, "capture", "bucket1", "--json") == 0
    state_id = json.loads(rwm_.out)["id"]
    assert rwm_(*HERE, "show", state_id) == 0
    assert "archived" not in rwm_.err
    s3.archive("bucket1", key)
    s3.archive("bucket1", "index/a", "MINE")
    assert rwm_(*HERE, "show", state_id) == 0
    assert "archived" not in rwm_.err, "no listing has shown it"
    s3.now += 5000
    assert rwm_(*HERE, "capture", "bucket1") == 0, "the listing for another state"
    assert rwm_(*HERE, "show", state_id) == 0
    assert "1 object, 5 B, is archived (GLACIER 1), as of the listing at 2023-" in rwm_.err
    assert "storage class MINE: 1 object, 1 B" in rwm_.err
    assert f"`rwm -c here.conf state show {state_id[:12]} --archived --commands | sh`" in rwm_.err
    assert rwm_(*HERE, "show", state_id, "--archived") == 0
    (line,) = rwm_.out.splitlines()
    assert line.endswith(f"5 GLACIER {version} data/it's; \\x1b[31m`x`")
    assert rwm_(*HERE, "show", state_id, "--archived", "--commands") == 0
    words = shlex.split(rwm_.out)
    assert json.loads(words[-1])["Key"] == key
    assert json.loads(words[-1])["VersionId"] == version
    assert rwm_(*HERE, "show", state_id, "--archived", "--json") == 0
    document = json.loads(rwm_.out)
    assert document["archived"]["objects"] == 1
    assert document["storage_classes"]["MINE"] == {"objects": 1, "bytes": 1}
    assert [(entry["storage_class"], entry["version_id"]) for entry in document["entries"]] == [("GLACIER", version)]
    assert shlex.split(document["entries"][0]["command"]) == words
    assert rwm_(*HERE, "show", state_id, "--commands") == 2


def test_show_and_restore_of_a_part_count_what_is_archived_in_it(rwm_: Terminal, s3: MemoryS3, tmp_path: Path) -> None:
    for key in ("host1/a", "host2/a"):
        s3.put("bucket1", key, b"1")
    s3.archive("bucket1", "host1/a")
    s3.now += 5000
    assert rwm_(*HERE, "capture", "bucket1", "--json") == 0
    state_id = json.loads(rwm_.out)["id"]
    for host, archived in (("host1", 1), ("host2", 0)):
        assert rwm_(*HERE, "show", state_id, "-b", f"bucket1/{host}", "--json") == 0
        assert json.loads(rwm_.out)["archived"]["objects"] == archived
    assert rwm_(*HERE, "restore", state_id, "--to-dir", str(tmp_path / "target"), "-b", "bucket1/host2") == 0
    assert "archived" not in rwm_.err


def test_sync_learns_what_is_archived(rwm_: Terminal, s3: MemoryS3, synced: list[str]) -> None:
    assert rwm_(*ADMIN, "show", synced[-1], "--json") == 0
    assert json.loads(rwm_.out)["archived"]["listed_at"] is not None
    s3.archive("bucket1", "data/2", "DEEP_ARCHIVE")
    assert rwm_(*ADMIN, "sync", "bucket1", "--again") == 0
    assert rwm_(*ADMIN, "show", synced[-1], "--archived", "--json") == 0
    assert json.loads(rwm_.out)["archived"]["objects"] == 1
    assert rwm_(*HERE, "sync", "bucket1", "--again") == 0, "its states are its own, and nothing is compared"
    assert rwm_(*HERE, "show", synced[-1], "--archived", "--json") == 0
    assert json.loads(rwm_.out)["archived"]["objects"] == 1


def test_a_state_that_was_only_imported_may_have_more_archived(
    rwm_: Terminal, s3: MemoryS3, captured: list[str], tmp_path: Path
) -> None:
    path = str(tmp_path / "state.jsonl")
    assert rwm_(*HERE, "export", captured[-1], path) == 0
    assert rwm_(*ADMIN, "import", path) == 0
    assert rwm_(*ADMIN, "show", captured[-1], "--archived") == 0
    assert "so more may be archived: `rwm -c admin.conf state sync --again bucket1` lists the bucket" in rwm_.err


def test_the_index_has_names_and_sizes_and_no_secret(rwm_: Terminal, s3: MemoryS3) -> None:
    s3.put("bucket1", "data/00/a-name-that-is-there", b"a content that is not there")
    assert rwm_(*HERE, "capture", "bucket1") == 0
    stored = b"".join(path.read_bytes() for path in rwm_.directory.glob("here.sqlite*"))
    assert b"a-name-that-is-there" in stored
    for secret in (b"s3-secret-value", b"restic-password-value", b"a content"):
        assert secret not in stored
