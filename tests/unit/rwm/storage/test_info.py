"""Counts of a bucket's contents."""

from __future__ import annotations

from typing import NoReturn

import pytest

from rwm.errors import NotSupported
from rwm.location import Location
from rwm.storage import StorageInfo, count_classes, storage_info
from tests.unit.memory import MemoryS3

BUCKET = "bucket1"


def test_versions_markers_and_state_files_are_counted() -> None:
    s3 = MemoryS3(BUCKET)
    for body in (b"1", b"22"):
        s3.put(BUCKET, "config", body)
    s3.put(BUCKET, "data/00/a", b"333")
    s3.delete(BUCKET, "data/00/a")
    s3.put(BUCKET, "rwm/states/x.jsonl.gz", b"4444")
    counted: list[int] = []
    assert storage_info(s3, Location(BUCKET), counted.append) == StorageInfo(
        BUCKET,
        "",
        "Enabled",
        objects=2,
        bytes=6,
        noncurrent_versions=2,
        noncurrent_bytes=4,
        delete_markers=1,
        unfinished_uploads=0,
        states=1,
    )
    assert sum(counted) == 5


def test_versions_are_counted_by_storage_class() -> None:
    s3 = MemoryS3(BUCKET)
    for body in (b"1", b"22"):
        s3.put(BUCKET, "data/00/a", body)
    s3.put(BUCKET, "config", b"333")
    s3.put(BUCKET, "rwm/states/x.jsonl.gz", b"4444")
    s3.put(BUCKET, "index/a", b"55555")
    s3.archive(BUCKET, "data/00/a")
    s3.archive(BUCKET, "rwm/states/x.jsonl.gz", "DEEP_ARCHIVE")
    s3.archive(BUCKET, "index/a", "MINE")
    expected = {"GLACIER": (2, 3), "DEEP_ARCHIVE": (1, 4), "MINE": (1, 5)}
    counted: list[int] = []
    assert storage_info(s3, Location(BUCKET)).storage_classes == expected
    assert count_classes(s3, Location(BUCKET), counted.append).counts == expected
    assert sum(counted) == 5
    assert storage_info(s3, Location(BUCKET)).as_json()["archived"] == {"objects": 3, "bytes": 7}
    assert storage_info(s3, Location(BUCKET)).as_json()["storage_classes"]["MINE"] == {"objects": 1, "bytes": 5}


def test_versioning_that_was_never_enabled_is_off() -> None:
    s3 = MemoryS3()
    s3.create_bucket(BUCKET)
    assert storage_info(s3, Location(BUCKET)).versioning == "off"


def test_what_the_server_does_not_have_is_said_and_the_rest_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def lack(bucket: str) -> NoReturn:
        raise NotSupported("501")

    s3 = MemoryS3(BUCKET)
    s3.put(BUCKET, "config", b"1")
    for name in ("versioning", "unfinished_uploads"):
        monkeypatch.setattr(s3, name, lack)
    assert storage_info(s3, Location(BUCKET)) == StorageInfo(
        BUCKET, "", "unsupported", objects=1, bytes=1, unfinished_uploads=None
    )


def test_repositories_are_counted_by_themselves() -> None:
    s3 = MemoryS3(BUCKET)
    keys = ("config", "keys/k", "data/00/d", "rwm/states/x", "host1/config", "host1/data/00/d", "host1/rwm/states/y")
    for key in (*keys, "host1/in/config", "host1/in/x/y", "host10/config"):
        s3.put(BUCKET, key, b"12")
    s3.delete(BUCKET, "host1/in/config")
    s3.put(BUCKET, "host1/config", b"123")
    roots = {"", "host1/", "host1/in/", "gone/"}
    info = storage_info(s3, Location(BUCKET), roots=roots)
    assert info.repositories == [("", 4, 8), ("gone/", 0, 0), ("host1/", 2, 5), ("host1/in/", 1, 2)]
    assert (info.objects, info.states) == (9, 2)
    inside = storage_info(s3, Location(BUCKET, "host1/"), roots={"host1/"})
    assert (inside.objects, inside.bytes, inside.states, inside.delete_markers) == (4, 9, 1, 1)
    assert inside.repositories == [("host1/", 3, 7)]
