"""Freeze and thaw on the real servers: with the keys of the frozen machine, every way to write is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import urllib3

from rwm.errors import AccessDenied
from rwm.index import Index
from rwm.layout import FREEZES_PREFIX
from rwm.location import Location
from rwm.s3 import S3
from rwm.storage import (
    check_storage,
    create_storage,
    freeze_storage,
    passed,
    prove_freeze,
    thaw_storage,
)
from tests.contract.buckets import unique, written
from tests.contract.test_storage_prefixes import ALLOWED, REFUSED, every
from tests.servers import Server

RULE = {
    "ID": "expire",
    "Status": "Enabled",
    "Filter": {"Prefix": "locks/"},
    "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
}
HTTP = urllib3.PoolManager()


class Machine:
    """What a machine has begun before the freeze: objects, uploads, presigned requests."""

    def __init__(self, s3: S3, bucket: str, prefix: str = "") -> None:
        self.s3, self.bucket, self.prefix = s3, bucket, prefix
        s3.put(bucket, f"{prefix}key", b"1")
        self.upload = self.call("create_multipart_upload", "parts")["UploadId"]
        self.part = self.call("upload_part", "parts", UploadId=self.upload, PartNumber=1, Body=b"1")["ETag"]
        self.other = self.call("create_multipart_upload", "other")["UploadId"]
        self.url = s3.client.generate_presigned_url("put_object", {"Bucket": bucket, "Key": f"{prefix}url"})
        self.form = s3.client.generate_presigned_post(bucket, f"{prefix}form")

    def call(self, operation: str, name: str, **parameters: Any) -> Any:
        return getattr(self.s3.client, operation)(Bucket=self.bucket, Key=self.prefix + name, **parameters)

    def writes(self) -> dict[str, Callable[[], Any]]:
        """Every way to write."""
        source = {"Bucket": self.bucket, "Key": f"{self.prefix}key"}
        whole = {"Parts": [{"PartNumber": 1, "ETag": self.part}]}
        return {
            "put": lambda: self.call("put_object", "new", Body=b""),
            "overwrite": lambda: self.call("put_object", "key", Body=b""),
            "copy": lambda: self.call("copy_object", "copy", CopySource=source),
            "create upload": lambda: self.call("create_multipart_upload", "more"),
            "part": lambda: self.call("upload_part", "parts", UploadId=self.upload, PartNumber=2, Body=b""),
            "part by copy": lambda: self.call(
                "upload_part_copy", "parts", UploadId=self.upload, PartNumber=2, CopySource=source
            ),
            "complete": lambda: self.call(
                "complete_multipart_upload", "parts", UploadId=self.upload, MultipartUpload=whole
            ),
            "abort": lambda: self.call("abort_multipart_upload", "other", UploadId=self.other),
            "delete": lambda: self.call("delete_object", "key"),
            "acl": lambda: self.call("put_object_acl", "key", ACL="public-read"),
        }

    def presigned(self) -> list[int]:
        """The HTTP status of a PUT by a presigned URL, and of a POST form."""
        put = HTTP.request("PUT", self.url, body=b"")
        fields = {**self.form["fields"], "file": ("name", b"x")}
        return [put.status, HTTP.request("POST", self.form["url"], fields=fields).status]

    def deletes(self) -> bool:
        """Whether a batch deletes the key."""
        batch = {"Objects": [{"Key": f"{self.prefix}key"}]}
        try:
            return not self.s3.call("delete_objects", Bucket=self.bucket, Delete=batch).get("Errors")
        except AccessDenied:
            return False

    def reads(self) -> str:
        return every(
            lambda: self.call("get_object", "key"),
            lambda: self.s3.client.list_objects_v2(Bucket=self.bucket, Prefix=self.prefix),
        )


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with Index.open(tmp_path / "index.sqlite") as index:
        yield index


@pytest.mark.parametrize("reads", [True, False], ids=["reads", "nothing"])
@pytest.mark.parametrize(
    ("name", "tenant"), [("rgw", ""), ("rgw", "t1$"), ("seaweedfs", "")], ids=["rgw", "rgw with a tenant", "seaweedfs"]
)
def test_a_frozen_machine_writes_nothing_as_soon_as_the_freeze_returns(
    request: pytest.FixtureRequest, index: Index, name: str, tenant: str, reads: bool
) -> None:
    server: Server = request.getfixturevalue(name)
    admin, user, bucket = server.connect(f"{tenant}admin"), server.connect(f"{tenant}user1"), unique("frozen")
    create_storage(admin, bucket, "user1")
    admin.put_lifecycle_rules(bucket, [RULE])
    policy, rules = admin.policy(bucket), admin.lifecycle_rules(bucket)
    machine = Machine(user, bucket)
    freeze_storage(admin, index.freezes, Location(bucket), reads=reads, note="stolen keys")
    before = written(admin.versions(bucket))
    for what, write in machine.writes().items():
        assert every(write) == REFUSED, what
    assert machine.presigned() == [403, 404 if tenant else 403]  # RGW finds no bucket of a tenant by a form
    assert not machine.deletes()
    assert machine.reads() == (ALLOWED if reads else REFUSED)
    assert written(admin.versions(bucket)) == before
    assert [rule["Status"] for rule in admin.lifecycle_rules(bucket)] == ["Disabled"]
    assert [drift.code for drift in check_storage(admin, bucket)] == ["frozen"]
    assert passed(prove_freeze(admin, user, Location(bucket), reads=reads)) == []
    thaw_storage(admin, index.freezes, Location(bucket))
    assert admin.policy(bucket) == policy
    assert admin.lifecycle_rules(bucket) == rules
    records = [entry.key for entry in admin.current_objects(bucket, FREEZES_PREFIX)]
    documents = [json.loads(admin.get(bucket, key)) for key in sorted(records)]
    assert [(one["what"], one["note"]) for one in documents] == [("freeze", "stolen keys"), ("thaw", "")]
    assert documents[0]["policy_before"] == policy
    assert {every(partial(user.client.delete_object, Bucket=bucket, Key=key)) for key in records} == {REFUSED}
    writes = machine.writes()
    for refused_before in ("acl", "copy", "part by copy"):
        del writes[refused_before]
    del writes["part"]  # an upload of one part is completed
    for what, write in writes.items():
        assert every(write) == ALLOWED, what


def test_only_one_of_several_machines_is_frozen(server: Server, index: Index) -> None:
    admin, bucket = server.connect(), unique("shared")
    create_storage(admin, bucket, "user1:host1/", "user2:host2/")
    one, two = (Machine(server.connect(f"user{n}"), bucket, f"host{n}/") for n in (1, 2))
    freeze_storage(admin, index.freezes, Location(bucket, "host1/"))
    assert {every(write) for write in one.writes().values()} == {REFUSED}
    assert one.presigned() == [403, 403]
    assert passed(prove_freeze(admin, one.s3, Location(bucket, "host1/"), reads=True)) == []
    assert two.writes()["put"]()
    assert every(two.writes()["complete"]) == ALLOWED
    proof = prove_freeze_at_once(admin, two.s3, Location(bucket, "host2/"))
    assert proof == ["PutObject", "DeleteObject", "CreateMultipartUpload"]
    assert not list(admin.versions(bucket, "host2/rwm/")), "what got through is removed"


def prove_freeze_at_once(admin: S3, user: S3, location: Location) -> list[str]:
    """The operations that get through, without waiting for the freeze."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rwm.storage.freeze_proof._PROOF_SECONDS", 0)
        return [each.operation for each in passed(prove_freeze(admin, user, location, reads=True))]


def test_a_bucket_with_drift_is_frozen(server: Server, index: Index) -> None:
    """Everybody may write by the policy and by the ACL."""
    admin, user, bucket = server.connect(), server.connect("user1"), unique("frozen")
    create_storage(admin, bucket, "user1")
    policy = admin.policy(bucket)
    assert policy is not None
    resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    policy["Statement"] = [each for each in policy["Statement"] if "Denied" not in each["Sid"]]
    policy["Statement"].append(
        {"Sid": "X", "Effect": "Allow", "Principal": "*", "Action": ["s3:*"], "Resource": resources}
    )
    admin.put_policy(bucket, policy)
    admin.client.put_bucket_acl(Bucket=bucket, ACL="public-read-write")
    before = admin.policy(bucket)
    machine = Machine(user, bucket)
    url = f"{admin.endpoint_url}/{bucket}/anonymous"
    assert HTTP.request("PUT", url, body=b"").status == (200 if server.name == "rgw" else 403)
    freeze_storage(admin, index.freezes, Location(bucket))
    assert {every(write) for write in machine.writes().values()} == {REFUSED}
    assert machine.presigned() == [403, 403]
    assert HTTP.request("PUT", url, body=b"").status == 403
    assert HTTP.request("DELETE", url).status == 403
    thaw_storage(admin, index.freezes, Location(bucket))
    assert admin.policy(bucket) == before
