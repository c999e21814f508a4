"""The requests of a roll back on the real servers: copies over a key, delete markers with their ids."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rwm.errors import AccessDenied, NotFound, S3Error
from rwm.s3 import part_copy
from rwm.s3 import rollback as requests
from rwm.storage import create_storage
from tests.contract.buckets import unique, versioned
from tests.servers import Server

KEYS = ("data/ab", "ümlaut + & ?%20#.txt", "a b/c")


@pytest.mark.parametrize("key", KEYS)
def test_a_version_is_copied_over_its_key_with_its_metadata(server: Server, key: str) -> None:
    s3 = server.connect()
    bucket = versioned(s3)
    s3.client.put_object(Bucket=bucket, Key=key, Body=b"good", Metadata={"who": "me"}, ContentType="text/x-test")
    (good,) = [entry for entry in s3.versions(bucket) if entry.key == key]
    s3.put(bucket, key, b"bad")
    copy = s3.copy_back(bucket, key, good.version_id, 4)
    newest = next(entry for entry in s3.versions(bucket) if entry.key == key)
    assert (newest.size, newest.etag, newest.is_latest) == (4, good.etag, True)
    assert newest.version_id == copy or (server.name, copy) == ("rgw", "")  # RGW 16 does not tell
    head: dict[str, Any] = dict(s3.client.head_object(Bucket=bucket, Key=key))
    assert (head["Metadata"], head["ContentType"]) == ({"who": "me"}, "text/x-test")
    assert s3.get(bucket, key) == b"good"


def test_a_large_version_is_copied_in_parts(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    s3, part = server.connect(), 5 << 20
    monkeypatch.setattr(requests, "COPY_LIMIT", part)
    monkeypatch.setattr(part_copy, "COPY_PART", part)
    bucket, body = versioned(s3), b"x" * part + b"y" * 17
    s3.client.put_object(Bucket=bucket, Key="large", Body=body, Metadata={"who": "me"}, ContentType="text/x-test")
    (good,) = s3.versions(bucket)
    s3.put(bucket, "large", b"bad")
    copy = s3.copy_back(bucket, "large", good.version_id, len(body))
    newest = next(s3.versions(bucket))
    assert (newest.version_id, newest.size) == (copy, len(body))
    head: dict[str, Any] = dict(s3.client.head_object(Bucket=bucket, Key="large"))
    assert (head["Metadata"], head["ContentType"]) == ({"who": "me"}, "text/x-test")
    assert s3.get(bucket, "large") == body


def test_a_copy_of_parts_that_fails_leaves_nothing(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    s3 = server.connect()
    monkeypatch.setattr(requests, "COPY_LIMIT", 1)
    bucket = versioned(s3)
    s3.put(bucket, "large", b"good")
    (good,) = s3.versions(bucket)
    with pytest.raises(S3Error):
        s3.copy_back(bucket, "large", good.version_id, 5000)  # more than there is
    assert list(s3.versions(bucket)) == [good]
    assert list(s3.unfinished_uploads(bucket)) == []


def test_a_version_that_is_gone_is_not_found(server: Server) -> None:
    s3 = server.connect()
    bucket = versioned(s3)
    gone = s3.put(bucket, "a", b"good")
    s3.put(bucket, "a", b"bad")
    s3.delete_versions(bucket, [("a", gone)])
    with pytest.raises(NotFound):
        s3.copy_back(bucket, "a", gone, 4)


def test_markers_are_put_with_their_ids(server: Server) -> None:
    s3 = server.connect()
    bucket = versioned(s3)
    keys = [*KEYS, "control\x07"] if server.name == "rgw" else list(KEYS)
    for key in keys:
        s3.put(bucket, key, b"bad")
    markers, failures = s3.put_markers(bucket, keys)
    assert failures == []
    listed = {entry.key: entry.version_id for entry in s3.versions(bucket) if entry.is_latest and entry.is_marker}
    assert markers == listed
    assert set(markers) == set(keys)


def test_a_key_that_somebody_wrote_meanwhile_is_left_alone_where_the_server_knows_conditions(server: Server) -> None:
    s3 = server.connect()
    bucket = versioned(s3)
    good = s3.put(bucket, "a", b"good")
    s3.put(bucket, "a", b"bad")
    for longer in ("a/b", "a-b", "a.b", "ab"):
        s3.put(bucket, longer, b"1")
    seen = s3.newest(bucket, "a")
    assert seen is not None
    s3.put(bucket, "a", b"by a machine")
    changes: list[Callable[[], str]] = [
        lambda: s3.copy_back(bucket, "a", good, 4, over=seen),
        lambda: s3.put_marker_over(bucket, seen),
    ]
    for change in changes:
        if server.name == "rgw":  # 16 takes no notice
            change()
        else:
            with pytest.raises(S3Error) as error:
                change()
            assert error.value.code == "PreconditionFailed"
            assert s3.get(bucket, "a") == b"by a machine"
    current = s3.newest(bucket, "a")
    assert current is not None
    if not current.is_marker:
        marker = s3.put_marker_over(bucket, current)
        current = s3.newest(bucket, "a")
        assert current is not None
        assert (current.version_id, current.is_marker) == (marker, True)
    s3.copy_back(bucket, "a", good, 4, over=current)
    assert s3.get(bucket, "a") == b"good"


def test_no_spelling_of_a_key_reaches_the_records_of_the_admin(server: Server) -> None:
    """Servers that keep objects as files may take several keys for one path."""
    admin, user, bucket = server.connect(), server.connect("user1"), unique("spelling")
    create_storage(admin, bucket, "user1")
    record = "rwm/admin/operations/record"
    admin.put(bucket, record, b"true")
    spellings = [
        record,
        "rwm//admin/operations/record",
        "rwm/admin//operations/record",
        "rwm\\admin\\operations\\record",
        "/rwm/admin/operations/record",
        "./rwm/admin/operations/record",
        "a/../rwm/admin/operations/record",
        "rwm/x/../admin/operations/record",
        "rwm/admin/operations/record.versions/v_1",
        "rwm/admin",
    ]
    for key in spellings:
        for write in (lambda key: user.put(bucket, key, b"forged"), lambda key: user.delete(bucket, key)):
            try:
                write(key)
            except (AccessDenied, S3Error):
                continue
    assert [(each.key, each.size) for each in admin.current_objects(bucket, "rwm/admin/")] == [(record, 4)]
    assert admin.get(bucket, record) == b"true"
    (found,) = admin.current_objects(bucket, record)
    owner, _ = admin.acl(bucket)
    assert found.owner == owner
