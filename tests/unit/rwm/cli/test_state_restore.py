"""``rwm state restore``."""

from __future__ import annotations

import json

from tests.unit.memory import MemoryS3
from tests.unit.terminal import Terminal


def test_restore_reports_restored_and_failed_objects(rwm_: Terminal, s3: MemoryS3) -> None:
    s3.put("bucket1", "data/00/x", b"abc")
    rwm_("-c", "here.conf", "state", "capture", "bucket1")
    s3.wrong["config"] = b"!"
    restore = ("-c", "here.conf", "state", "restore", "latest", "-b", "bucket1", "--to-dir", "out")
    assert rwm_(*restore, "--json") == 3
    document = json.loads(rwm_.out)
    assert (document["objects"], document["bytes"]) == (1, 3)
    assert [failure["key"] for failure in document["failures"]] == ["config"]
    assert "warning: config is not restored" in rwm_.err
    assert rwm_(*restore) == 5


def test_restore_to_a_bucket_or_a_directory(rwm_: Terminal, s3: MemoryS3) -> None:
    s3.put("bucket1", "..", b"x")
    rwm_("-c", "here.conf", "state", "capture", "bucket1")
    restore = ("-c", "here.conf", "state", "restore", "latest", "-b", "bucket1")
    assert rwm_(*restore, "--to-bucket", "new") == 0
    assert rwm_.out == "restored 2 objects, 3 B, to bucket new\n"
    assert s3.present("new").keys() == {"config", ".."}
    assert rwm_(*restore, "--to-dir", "out") == 0
    assert "1 keys have no path" in rwm_.err
    assert (rwm_.directory / "out" / "config").read_bytes() == b"{}"
