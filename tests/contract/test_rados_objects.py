"""Does Ceph RGW leak RADOS objects? Counted in the pools before a bucket and after its deletion.

The numbers are in docs/servers.md. Garbage is collected first: RGW deletes the data of a version hours later.
"""

from __future__ import annotations

import http.client
import os
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from rwm.location import Location
from rwm.s3 import S3
from rwm.storage import create_storage, delete_storage
from tests.contract.buckets import unique
from tests.servers import Server

POOLS = ("default.rgw.buckets.data", "default.rgw.buckets.index", "default.rgw.buckets.non-ec", "default.rgw.meta")
BIG = os.urandom(9 << 20)
"""Three RADOS objects, of 4 MiB at most."""
PART = 3
"""RADOS objects of a part of this size."""


def rados_objects(rgw: Server) -> dict[str, set[str]]:
    """The names in each pool, after the garbage was collected."""
    rgw.ceph("radosgw-admin", "gc", "process", "--include-all")
    return {pool: set(rgw.ceph("rados", "-p", pool, "ls", "--all").splitlines()) for pool in POOLS}


def upload_part(s3: S3, bucket: str, key: str, upload: str, number: int = 1) -> dict[str, Any]:
    request: dict[str, Any] = {"Bucket": bucket, "Key": key, "UploadId": upload, "PartNumber": number}
    return {"PartNumber": number, "ETag": s3.call("upload_part", Body=BIG, **request)["ETag"]}


def begin(s3: S3, bucket: str, key: str) -> str:
    return str(s3.call("create_multipart_upload", Bucket=bucket, Key=key)["UploadId"])


def ordinary(admin: S3, user: S3, bucket: str) -> None:
    """All that RWM, restic and an attacker without tricks leave in a bucket."""
    for _ in range(2):
        user.put(bucket, "data/00/pack", BIG)
    user.put(bucket, "hidden", BIG)
    user.delete(bucket, "hidden")
    user.delete(bucket, "never there")
    user.put(bucket, "rwm/states/one", b"1")
    admin.put(bucket, "rwm/admin/operations/one", b"1")
    admin.copy(bucket, "data/00/pack", next(admin.versions(bucket, "data/")).version_id, bucket)
    upload = begin(user, bucket, "large")
    parts = [upload_part(user, bucket, "large", upload, number) for number in (1, 2)]
    user.call(
        "complete_multipart_upload", Bucket=bucket, Key="large", UploadId=upload, MultipartUpload={"Parts": parts}
    )
    upload_part(user, bucket, "unfinished", begin(user, bucket, "unfinished"))
    send_half(user, "put_object", Bucket=bucket, Key="cut")


def repeated_part(_: S3, user: S3, bucket: str) -> None:
    upload = begin(user, bucket, "again")
    for _attempt in range(2):
        upload_part(user, bucket, "again", upload)


def send_half(s3: S3, operation: str, **parameters: Any) -> None:
    """A PUT whose client disappears in the middle."""
    url = urlsplit(s3.client.generate_presigned_url(operation, Params=parameters))
    connection = http.client.HTTPConnection(url.netloc)
    connection.putrequest("PUT", f"{url.path}?{url.query}")
    connection.putheader("Content-Length", str(2 * len(BIG)))
    connection.endheaders()
    connection.send(BIG)
    connection.close()


@pytest.mark.parametrize(
    ("fill", "leaked"),
    [(ordinary, 0), pytest.param(repeated_part, PART, marks=pytest.mark.slow)],
    ids=["ordinary", "repeated part"],
)
def test_what_stays_of_a_deleted_bucket(rgw: Server, fill: Callable[[S3, S3, str], None], leaked: int) -> None:
    admin, user, bucket = rgw.connect(), rgw.connect("user1"), unique("leak")
    before = rados_objects(rgw)
    create_storage(admin, bucket, "user1")
    fill(admin, user, bucket)
    held = rados_objects(rgw)
    assert delete_storage(admin, Location(bucket)) == []
    after = rados_objects(rgw)
    left = {pool: sorted(after[pool] - before[pool]) for pool in POOLS}
    assert len(held["default.rgw.buckets.data"] - before["default.rgw.buckets.data"]) > PART
    assert len(left.pop("default.rgw.buckets.data")) == leaked
    assert left == {pool: [] for pool in POOLS[1:]}
