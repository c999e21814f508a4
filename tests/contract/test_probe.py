"""The probe on the real servers: nothing is left behind, and each missing statement of the policy is found."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from rwm.errors import AccessDenied, UsageError
from rwm.location import Location
from rwm.s3 import S3
from rwm.storage import apply_fix, check_storage, create_storage, passed, plan_fix, probe_storage
from rwm.storage.attempts import Attempt
from tests.contract.buckets import unique
from tests.servers import Server
from tests.tls import through_tls

LIMITS = {
    "seaweedfs": ["GetObject of a noncurrent version by its path"],
    "rgw": [
        "UploadPartCopy of a noncurrent version",
        "CreateMultipartUpload with x-amz-acl",
    ],
}
"""What a machine can do whatever the policy says."""
WITH_TLS_ALONE = {"seaweedfs": [], "rgw": ["PutObject with a key of the client (SSE-C)"]}
"""What else a machine can do, and what cannot be tried without TLS."""
UNTRIED = {"seaweedfs": ["DeleteBucketPolicy", "DeleteBucket"], "rgw": ["DeleteBucketPolicy"]}


def operations(attempts: Iterable[Attempt], outcome: str) -> list[str]:
    return [each.operation for each in attempts if each.outcome == outcome]


def leftovers(admin: S3, bucket: str) -> list[object]:
    return [*admin.versions(bucket), *admin.unfinished_uploads(bucket), *check_storage(admin, bucket)]


@pytest.mark.parametrize("prefix", ["", "host1/"], ids=["whole with TLS", "prefix"])
def test_only_limits_of_the_server_get_through_a_protected_bucket(server: Server, prefix: str) -> None:
    admin, user, bucket = server.connect(), server.connect("user1"), unique("shared")
    create_storage(admin, bucket, *(["user1:host1", "user2:host2"] if prefix else ["user1"]))
    if not prefix:
        through_tls(user)
    found = probe_storage(admin, user, Location(bucket, prefix))
    through, untried = [*LIMITS[server.name]], [*UNTRIED[server.name]]
    (untried if prefix else through).extend(WITH_TLS_ALONE[server.name])
    assert passed(found) == []
    assert sorted(operations(found, "NOT REFUSED")) == sorted(through)
    assert sorted(operations(found, "cannot be tried")) == sorted(untried)
    assert len(found) == len({each.operation for each in found}) >= (28 if prefix else 25)
    assert leftovers(admin, bucket) == []


def test_what_gets_through_is_undone(server: Server) -> None:
    """The machine may do everything, on a bucket with Object Lock."""
    admin, bucket = server.connect(), unique("open")
    admin.call("create_bucket", Bucket=bucket, ObjectLockEnabledForBucket=True)
    create_storage(admin, bucket, "user1")
    policy = admin.policy(bucket) or {}
    resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    policy["Statement"] = [each for each in policy["Statement"] if each["Effect"] == "Allow"]
    for each in policy["Statement"]:
        each |= {"Action": ["s3:*"], "Resource": resources}
    admin.put_policy(bucket, policy)
    before = admin.policy(bucket)
    found = probe_storage(admin, server.connect("user1"), Location(bucket))
    through = operations(passed(found), "NOT REFUSED")
    for operation in (
        "GetObject of a noncurrent version",
        "PutObject with x-amz-acl",
        "PutObjectRetention",
        "PutObjectLegalHold",
        "DeleteObject of a version",
        "PutBucketPolicy",
        "PutBucketVersioning",
        "PutBucketLifecycle",
    ):
        assert operation in through
    assert [each.detail for each in found if "not undone" in each.detail] == []
    assert [*admin.versions(bucket), *admin.unfinished_uploads(bucket)] == []
    assert admin.policy(bucket) == before
    assert admin.lifecycle_rules(bucket) == []


EACH = {
    "RwmUserPublishDeniedAcl",
    "RwmUserPublishDeniedGrantRead",
    "RwmUserPublishDeniedGrantWrite",
    "RwmUserPublishDeniedGrantReadAcp",
    "RwmUserPublishDeniedGrantWriteAcp",
    "RwmUserPublishDeniedGrantFullControl",
    "RwmUserCopyDenied",
}
ADMIN_AREA = "RwmAdminAreaDenied"  # a user of a prefix is denied everything outside of it too
FOUND_BY_PROBE = {
    # No KMS is set up. The rest is denied twice: SeaweedFS's identity policy, or the lack of a grant, refuses it too.
    ("seaweedfs", ""): EACH | {"RwmUserSseCDenied", ADMIN_AREA},
    ("rgw", ""): EACH | {"RwmUserObjects", "RwmUserObjectsDenied", ADMIN_AREA},
    ("seaweedfs", "host1/"): EACH | {"RwmUserSseCDenied", "RwmPrefix1OutsideDenied", "RwmPrefix1ListDenied"},
    ("rgw", "host1/"): EACH | {"RwmPrefix1Objects", "RwmUserObjectsDenied"},
}


def test_fix_brings_protection_back(server: Server) -> None:
    admin, bucket = server.connect(), unique("open")
    create_storage(admin, bucket, "user1")
    policy = admin.policy(bucket) or {}
    resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    everyone = {"Sid": "X", "Effect": "Allow", "Principal": "*", "Action": ["s3:*"], "Resource": resources}
    rest = [each for each in policy["Statement"] if "Denied" not in each["Sid"]]
    admin.put_policy(bucket, {**policy, "Statement": [*rest, everyone]})
    admin.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    admin.client.put_bucket_acl(Bucket=bucket, ACL="public-read")
    rule = {"ID": "eat", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}
    admin.put_lifecycle_rules(bucket, [rule])
    apply_fix(plan_fix(admin, bucket))
    assert check_storage(admin, bucket) == []
    assert admin.policy(bucket) == policy
    assert passed(probe_storage(admin, server.connect("user1"), Location(bucket))) == []


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("seaweedfs", ""),
        pytest.param("seaweedfs", "host1/", marks=pytest.mark.slow),
        pytest.param("rgw", "", marks=pytest.mark.slow),
        pytest.param("rgw", "host1/", marks=pytest.mark.slow),
    ],
)
def test_each_missing_statement_is_found(request: pytest.FixtureRequest, name: str, prefix: str) -> None:
    server: Server = request.getfixturevalue(name)
    admin, user, bucket = server.connect(), server.connect("user1"), unique("shared")
    create_storage(admin, bucket, *(["user1:host1", "user2:host2"] if prefix else ["user1"]))
    policy = admin.policy(bucket)
    assert policy is not None
    probed = set()
    for missing in policy["Statement"]:
        rest = [each for each in policy["Statement"] if each is not missing]
        admin.put_policy(bucket, {**policy, "Statement": rest})
        assert check_storage(admin, bucket), missing["Sid"]
        try:
            if passed(probe_storage(admin, user, Location(bucket, prefix))):
                probed.add(missing["Sid"])
        except AccessDenied:
            probed.add(missing["Sid"])
    assert probed == FOUND_BY_PROBE[name, prefix]


def test_the_keys_of_the_admin_are_refused(server: Server) -> None:
    admin, bucket = server.connect(), unique("protected")
    create_storage(admin, bucket, "user1")
    with pytest.raises(UsageError, match="has the admin's keys"):
        probe_storage(admin, server.connect(), Location(bucket))
