"""``rwm storage``: exit codes, confirmation, escaped output."""

from __future__ import annotations

import json
from typing import NoReturn

import pytest

from rwm.errors import AccessDenied
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


def test_check_and_info_count_what_is_archived(rwm_: Terminal, s3: MemoryS3) -> None:
    s3.put("bucket1", "data/00/a", b"12345")
    s3.archive("bucket1", "data/00/a", "DEEP_ARCHIVE")
    s3.put("bucket1", "data/00/b", b"1")
    s3.archive("bucket1", "data/00/b", "\x1b[31m")
    assert rwm_("-c", "here.conf", "storage", "check", "bucket1", "--json") == 4
    document = json.loads(rwm_.out)
    assert document["archived"] == {"objects": 1, "bytes": 5}
    assert [item["code"] for item in document["drift"]] == ["policy-missing"], "it is no drift"
    assert "bucket bucket1: 1 object, 5 B, is archived (DEEP_ARCHIVE 1)" in rwm_.err
    assert rwm_("-c", "here.conf", "storage", "check", "bucket1", "--json", "--no-listing") == 4
    assert json.loads(rwm_.out)["archived"] is None
    assert rwm_("-c", "here.conf", "storage", "info", "bucket1") == 0
    assert "archived: DEEP_ARCHIVE" in rwm_.out
    assert "\\x1b[31m" in rwm_.out


def test_check_goes_on_where_versions_cannot_be_listed(
    rwm_: Terminal, s3: MemoryS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    def level(*_: object, **__: object) -> NoReturn:
        raise AccessDenied("ListObjectVersions bucket1: AccessDenied")

    monkeypatch.setattr(s3, "level", level)
    assert rwm_("-c", "here.conf", "storage", "check", "bucket1", "--json") == 4
    assert json.loads(rwm_.out)["archived"] is None
    assert "archived versions are not counted: ListObjectVersions" in rwm_.err
