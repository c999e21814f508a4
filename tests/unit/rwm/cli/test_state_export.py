"""``rwm state export``: formats, and no incomplete or overwritten files."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import os
import sys
from typing import Any

import pytest

from rwm import process
from rwm.model import Entry
from tests import ROOT
from tests.unit.memory import MemoryS3
from tests.unit.rwm.cli.state_helpers import (
    ADMIN,
    HERE,
    make_state_file,
)
from tests.unit.terminal import Terminal


def test_export_writes_the_canonical_form_whose_hash_is_the_id(rwm_: Terminal, synced: list[str]) -> None:
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


def test_the_format_is_that_of_the_name_unless_given(rwm_: Terminal, synced: list[str]) -> None:
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


def test_export_never_overwrites_and_removes_incomplete_files(
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


def test_control_characters_in_a_path_are_escaped(rwm_: Terminal, synced: list[str]) -> None:
    assert rwm_(*ADMIN, "export", synced[0], "x\x1b[31m.csv") == 0
    assert rwm_.out.endswith("in x\\x1b[31m.csv\n")


@pytest.mark.parametrize(("line", "code"), [("| head -c 1", "1 0"), ("> /dev/full; (exit $?)", "1")])
def test_export_to_a_closed_pipe_or_a_full_device(rwm_: Terminal, s3: MemoryS3, line: str, code: str) -> None:
    info, body = make_state_file("bucket1", 1_600_000_000, [Entry(f"{n:0100}", "v", 1, "e", 1000) for n in range(3000)])
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
