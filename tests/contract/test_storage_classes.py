"""Storage classes as servers list them. moto alone refuses to read an archived object, as Amazon S3 does."""

from __future__ import annotations

from pathlib import Path

import pytest

from rwm.errors import Archived
from rwm.index import Index
from rwm.location import Location
from rwm.states import capture_state
from rwm.storage import count_classes
from tests.contract.buckets import versioned
from tests.servers import Server

OTHER = {"seaweedfs": "GLACIER", "rgw": "COLD", "moto": "DEEP_ARCHIVE"}
"""A class that the server accepts; RGW has only those that its zone defines."""


def test_a_listing_and_the_index_show_the_class_of_each_version(any_server: Server, tmp_path: Path) -> None:
    s3, name = any_server.connect(), OTHER[any_server.name]
    bucket = versioned(s3)
    s3.client.put_object(Bucket=bucket, Key="data/00/a", Body=b"12345", StorageClass=name)  # type: ignore[arg-type]
    s3.put(bucket, "data/00/b", b"1")
    assert {version.key: version.storage_class for version in s3.versions(bucket)} == {
        "data/00/a": name,
        "data/00/b": None,
    }
    assert count_classes(s3, Location(bucket)).counts == {name: (1, 5)}
    with Index.open(tmp_path / "index.sqlite") as index:
        info = capture_state(s3, index, Location(bucket))
        assert index.storage_classes.of_state(info).counts == {name: (1, 5)}
        assert index.storage_classes.of_state(info).listed_at == info.captured_at
        assert [(entry.key, found) for entry, found in index.storage_classes.entries(info)] == [("data/00/a", name)]


def test_reading_or_copying_an_archived_object_is_an_error_of_its_own(moto: Server) -> None:
    s3 = moto.connect()
    bucket, other = versioned(s3), versioned(s3)
    s3.client.put_object(Bucket=bucket, Key="a", Body=b"1", StorageClass="GLACIER")
    (version,) = s3.versions(bucket)
    with pytest.raises(Archived, match="InvalidObjectState"):
        s3.get(bucket, "a", version.version_id)
    with pytest.raises(Archived):
        s3.reader(bucket, attempts=1).read_range("a", version.version_id, 0, 1)
    with pytest.raises(Archived):
        s3.copy(bucket, "a", version.version_id, other)
