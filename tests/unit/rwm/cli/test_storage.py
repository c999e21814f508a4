"""``rwm storage``: exit codes, confirmation, escaped output."""

from __future__ import annotations

import json

from tests.unit.memory import MemoryS3
from tests.unit.terminal import Terminal


def test_check_with_problems_has_exit_code_4(rwm_: Terminal, s3: MemoryS3) -> None:
    assert rwm_("-c", "here.conf", "storage", "check", "bucket1", "--json") == 4
    document = json.loads(rwm_.out)
    assert document["ok"] is False
    assert [item["code"] for item in document["drift"]] == ["policy-missing"]
    assert rwm_("-c", "here.conf", "storage", "check", "nope") == 1


def test_the_versioning_status_is_escaped(rwm_: Terminal, s3: MemoryS3) -> None:
    s3.states["bucket1"] = "\x9b2J\x1b[31mEnabled"
    assert rwm_("-c", "here.conf", "storage", "info", "bucket1") == 0
    assert rwm_.out.splitlines()[-1] == "versioning: \\x9b2J\\x1b[31mEnabled"


def test_delete_prints_what_is_deleted_and_asks(rwm_: Terminal, s3: MemoryS3) -> None:
    s3.put("bucket1", "config", b"{} ")
    assert rwm_("-c", "here.conf", "storage", "delete", "bucket1", "--dry-run") == 0
    assert rwm_.out == "would delete bucket bucket1 with 2 versions and markers, 5 B\n"
    assert "bucket1" in s3.buckets
    assert rwm_("-c", "here.conf", "storage", "delete", "nope", "--yes") == 1
    s3.object_lock = True
    s3.stuck["config", s3.present("bucket1")["config"]] = "AccessDenied"
    assert rwm_("-c", "here.conf", "storage", "delete", "bucket1", "--yes") == 3
    assert "AccessDenied" in rwm_.err
    s3.stuck.clear()
    assert rwm_("-c", "here.conf", "storage", "delete", "bucket1", "--yes", "--json") == 0
    assert json.loads(rwm_.out)["deleted"] is True
    assert s3.buckets == {}
