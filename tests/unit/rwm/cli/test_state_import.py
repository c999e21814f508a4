"""``rwm state import``: local files, without access to the bucket."""

from __future__ import annotations

import hashlib
import json
import os

from tests.unit.memory import MemoryS3
from tests.unit.rwm.cli.state_helpers import (
    ADMIN,
    HERE,
    HOSTILE_NAME,
    download_state_files,
    list_states,
    list_trusts,
    make_state_file,
)
from tests.unit.terminal import Terminal


def test_import_does_not_access_the_bucket(rwm_: Terminal, s3: MemoryS3, captured: list[str]) -> None:
    names = download_state_files(s3, rwm_.directory)
    s3.buckets.clear()
    assert rwm_(*ADMIN, "import", *names) == 0
    lines = rwm_.out.splitlines()
    assert [line.split()[1] for line in lines] == [state[:12] for state in captured]
    assert lines[0].endswith("Z: 2 objects, 2 B")
    assert list_trusts(rwm_) == ["unchecked"] * 3
    assert rwm_(*ADMIN, "import", *names, "--json") == 0
    document = json.loads(rwm_.out)
    assert document["failures"] == []
    assert [state["id"] for state in document["states"]] == captured
    assert {state["new"] for state in document["states"]} == {False}
    assert [state["file"] for state in document["states"]] == names
    assert rwm_(*ADMIN, "import", names[0]) == 0
    assert rwm_.out.endswith(" (already recorded)\n")


def test_a_delta_may_be_named_before_its_base(rwm_: Terminal, s3: MemoryS3) -> None:
    rwm_.configure("admin")
    for number in range(100):
        s3.put("bucket1", f"data/{hashlib.sha256(bytes([number])).hexdigest()}", b"x")
    for number in range(2):
        s3.put("bucket1", f"index/{number}", b"x")
        s3.now += 10_000
        assert rwm_(*HERE, "capture", "bucket1") == 0
    full, delta = download_state_files(s3, rwm_.directory)
    assert ".delta." in delta
    assert rwm_(*ADMIN, "import", delta) == 1
    assert "it builds upon state" in rwm_.err
    assert list_states(rwm_) == []
    assert rwm_(*ADMIN, "import", delta, full) == 0
    assert [state["objects"] for state in list_states(rwm_)] == [102, 103]


def test_import_records_valid_files_and_reports_the_others(rwm_: Terminal, s3: MemoryS3, captured: list[str]) -> None:
    (good, *_) = download_state_files(s3, rwm_.directory)
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
    assert len(list_states(rwm_)) == 1


def test_an_import_without_valid_files_is_an_error(rwm_: Terminal, s3: MemoryS3) -> None:
    assert rwm_(*HERE, "import", "nowhere") == 1
    assert rwm_.err == "rwm: nowhere: No such file or directory\n  nothing was recorded\n"
    assert rwm_(*HERE, "import", "nowhere", "no") == 1
    assert rwm_.err.splitlines()[-2:] == ["rwm: 2 files were not imported", "  nothing was recorded"]
    assert rwm_(*HERE, "import") == 2


def test_a_file_with_another_id_than_in_its_name_is_not_imported(
    rwm_: Terminal, s3: MemoryS3, captured: list[str]
) -> None:
    names = download_state_files(s3, rwm_.directory)
    body = (rwm_.directory / names[0]).read_bytes()
    lie = names[0].replace(captured[0], "0" * 64)
    (rwm_.directory / lie).write_bytes(body)
    assert rwm_(*ADMIN, "import", lie) == 1
    assert f"its content has the id {captured[0]}" in rwm_.err
    (rwm_.directory / "any-other-name").write_bytes(body)
    assert rwm_(*ADMIN, "import", "any-other-name") == 0


def test_control_characters_in_bucket_names_are_escaped(rwm_: Terminal, s3: MemoryS3) -> None:
    info, body = make_state_file(HOSTILE_NAME, 1_600_000_000)
    (rwm_.directory / "f").write_bytes(body)
    for words in (("import", "f"), ("list",), ("export", info.id, "x.csv"), ("forget", info.id, "--yes")):
        assert rwm_(*HERE, *words) == 0
        assert "\x1b" not in rwm_.out + rwm_.err
        assert "b\\n\\x1b[31m`x`$(y) z" in rwm_.out


def test_import_records_a_forgotten_state_permanently(rwm_: Terminal, s3: MemoryS3, synced: list[str]) -> None:
    names = download_state_files(s3, rwm_.directory)
    assert rwm_(*ADMIN, "forget", synced[0], "--yes") == 0
    assert rwm_(*ADMIN, "import", names[0]) == 0
    assert rwm_(*ADMIN, "sync", "bucket1") == 0
    assert list_trusts(rwm_) == ["verified"] * 3
