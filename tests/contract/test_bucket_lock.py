"""Object Lock of a bucket on the real servers: created with it, shown, and in the way of a deletion."""

from __future__ import annotations

import pytest

from rwm.errors import Refused
from rwm.location import Location
from rwm.s3 import S3, DefaultRetention
from rwm.storage import BucketLock, check_storage, create_storage, find_locked, list_storage, read_lock
from rwm.times import DAY
from tests.contract.buckets import unique
from tests.servers import Server

MONTH = DefaultRetention("governance", 30 * DAY)


def remove_locked(admin: S3, bucket: str) -> None:
    """Delete versions with the bypass that only a person sends."""
    for entry in admin.versions(bucket):
        admin.call(
            "delete_object", Bucket=bucket, Key=entry.key, VersionId=entry.version_id, BypassGovernanceRetention=True
        )


def test_new_versions_of_the_machine_are_locked(server: Server) -> None:
    admin, user, bucket = server.connect(), server.connect("user1"), unique("locked")
    users = create_storage(admin, bucket, "user1", lock=MONTH)
    assert create_storage(admin, bucket, "user1", lock=MONTH) == users, "safe to repeat"
    assert check_storage(admin, bucket) == []
    assert read_lock(user, bucket) == read_lock(admin, bucket) == BucketLock("enabled", MONTH)
    assert str(read_lock(admin, bucket)) == "governance, 30 days"
    (row,) = list_storage(admin, [bucket])
    assert row.lock == BucketLock("enabled", MONTH)
    before = admin.server_time(bucket)
    for body in (b"1", b"2"):
        user.put(bucket, "config", body)
    user.delete(bucket, "config")
    found = find_locked(admin, Location(bucket))
    assert (found.locked, found.held) == (2, 0)
    assert before + 30 * DAY - 1000 <= found.until <= admin.server_time(bucket) + 30 * DAY + 1000
    versions = [(entry.key, entry.version_id) for entry in admin.versions(bucket) if not entry.is_marker]
    assert {failure.code for failure in admin.delete_versions(bucket, versions)} == {"AccessDenied"}
    remove_locked(admin, bucket)


def test_a_bucket_without_object_lock_is_off(server: Server) -> None:
    admin, bucket = server.connect(), unique("open")
    create_storage(admin, bucket, "user1")
    assert read_lock(admin, bucket) == BucketLock("off")
    assert find_locked(admin, Location(bucket)) == (0, 0, 0)


def test_a_lock_that_an_existing_bucket_cannot_get_is_refused(rgw: Server) -> None:
    admin, bucket = rgw.connect(), unique("open")
    create_storage(admin, bucket, "user1")
    with pytest.raises(Refused, match="whoever has the admin's keys can delete every version") as error:
        create_storage(admin, bucket, "user1", lock=MONTH)
    assert "create another bucket" in error.value.hint
    assert check_storage(admin, bucket) == []


def test_an_existing_bucket_gets_a_lock_where_the_server_can(seaweedfs: Server) -> None:
    admin, bucket = seaweedfs.connect(), unique("open")
    admin.create_bucket(bucket)
    create_storage(admin, bucket, "user1", lock=MONTH)
    assert read_lock(admin, bucket) == BucketLock("enabled", MONTH)
