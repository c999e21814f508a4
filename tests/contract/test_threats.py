"""What stolen keys can and cannot do on the real servers, where no other test shows it: docs/threat-model.md."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import urllib3
from botocore.exceptions import ClientError

from rwm.embedded import EmbeddedS3
from rwm.errors import AccessDenied, NotFound, RwmError
from rwm.location import Location
from rwm.s3 import S3
from rwm.storage import check_storage, create_storage
from rwm.trust import audit_location
from tests import ROOT
from tests.contract.buckets import at_once, next_second, unique
from tests.servers import Server

SOON = datetime.now(UTC) + timedelta(hours=1)
READ = ["s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket", "s3:ListBucketVersions", "s3:GetBucketVersioning"]
"""What a read-only account needs for an audit, a sync and a mount."""

SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "replication": (
        "put_bucket_replication",
        {
            "ReplicationConfiguration": {
                "Role": "",
                "Rules": [{"Status": "Enabled", "Prefix": "", "Destination": {"Bucket": "arn:aws:s3:::elsewhere"}}],
            }
        },
    ),
    "encryption of the bucket": (
        "put_bucket_encryption",
        {
            "ServerSideEncryptionConfiguration": {
                "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
            }
        },
    ),
    "notification": ("put_bucket_notification_configuration", {"NotificationConfiguration": {}}),
    "website": ("put_bucket_website", {"WebsiteConfiguration": {"IndexDocument": {"Suffix": "index.html"}}}),
    "tags of the bucket": ("put_bucket_tagging", {"Tagging": {"TagSet": [{"Key": "a", "Value": "b"}]}}),
    "who pays": ("put_bucket_request_payment", {"RequestPaymentConfiguration": {"Payer": "Requester"}}),
    "ownership": (
        "put_bucket_ownership_controls",
        {"OwnershipControls": {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}},
    ),
    "public access": (
        "put_public_access_block",
        {"PublicAccessBlockConfiguration": {"BlockPublicAcls": False, "BlockPublicPolicy": False}},
    ),
}


def test_a_machine_changes_no_setting(server: Server) -> None:
    admin, user, bucket = server.connect(), server.connect("user1"), unique("threats")
    create_storage(admin, bucket, "user1")
    for setting in SETTINGS:
        if status_of(user, bucket, setting) != 403:
            assert status_of(admin, bucket, setting) in (400, 404, 405, 501), f"the server does not have {setting}"
    assert check_storage(admin, bucket) == []


def status_of(s3: S3, bucket: str, setting: str) -> int:
    """The HTTP status of an attempt, which must not succeed."""
    operation, parameters = SETTINGS[setting]
    with pytest.raises(ClientError) as error:
        getattr(s3.client, operation)(Bucket=bucket, **parameters)
    return int(error.value.response["ResponseMetadata"]["HTTPStatusCode"])


def lock(s3: S3, bucket: str, key: str, mode: str) -> str:
    """Write a version that is locked by headers; its id."""
    answer = s3.call(
        "put_object", Bucket=bucket, Key=key, Body=b"1", ObjectLockMode=mode, ObjectLockRetainUntilDate=SOON
    )
    return str(answer["VersionId"])


def test_a_machine_locks_its_own_new_objects_on_rgw_alone(server: Server) -> None:
    admin, user, bucket = server.connect(), server.connect("user1"), unique("threats")
    admin.call("create_bucket", Bucket=bucket, ObjectLockEnabledForBucket=True)
    create_storage(admin, bucket, "user1")
    if server.name == "rgw":
        version = lock(user, bucket, "key", "GOVERNANCE")
        assert admin.delete_versions(bucket, [("key", version)]) != []
    else:
        with pytest.raises(AccessDenied):
            lock(user, bucket, "key", "GOVERNANCE")


def test_a_lock_of_more_than_32_bits_is_none_on_rgw(rgw: Server) -> None:
    admin, bucket = rgw.connect(), unique("threats")
    admin.call("create_bucket", Bucket=bucket, ObjectLockEnabledForBucket=True)
    late: Any = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": datetime(2110, 1, 1, tzinfo=UTC)}
    answer = admin.client.put_object(Bucket=bucket, Key="key", Body=b"1", **late)
    retention = admin.retention(bucket, "key", answer["VersionId"])
    assert retention is not None and retention.until < admin.server_time(bucket)
    assert admin.delete_versions(bucket, [("key", answer["VersionId"])]) == []


def test_a_machine_creates_buckets_on_rgw_alone(server: Server) -> None:
    """An account with ``--max-buckets=-1`` does not: see the test of the accounts."""
    user, bucket = server.connect("user1"), unique("own")
    if server.name == "rgw":
        user.create_bucket(bucket)
        user.client.delete_bucket(Bucket=bucket)
    else:
        with pytest.raises(AccessDenied):
            user.create_bucket(bucket)


def test_stolen_admin_keys_delete_all_but_what_is_locked_for_compliance(server: Server) -> None:
    admin, bucket = server.connect(), unique("threats")
    admin.call("create_bucket", Bucket=bucket, ObjectLockEnabledForBucket=True)
    create_storage(admin, bucket, "user1")
    free = server.connect("user1").put(bucket, "free", b"1")
    held = {mode: lock(admin, bucket, mode, mode) for mode in ("GOVERNANCE", "COMPLIANCE")}
    assert admin.delete_versions(bucket, [("free", free)]) == []
    for mode, version in held.items():
        assert admin.delete_versions(bucket, [(mode, version)]) != []

    def delete(mode: str) -> None:
        admin.call("delete_object", Bucket=bucket, Key=mode, VersionId=held[mode], BypassGovernanceRetention=True)

    delete("GOVERNANCE")
    with pytest.raises(RwmError):
        delete("COMPLIANCE")
    assert [entry.key for entry in admin.versions(bucket)] == ["COMPLIANCE"]
    admin.client.delete_bucket_policy(Bucket=bucket)
    assert admin.policy(bucket) is None
    for key, version in (("free", free), ("GOVERNANCE", held["GOVERNANCE"])):
        with pytest.raises(NotFound):
            list(admin.stream(bucket, key, version))


def write_repository(s3: S3, bucket: str) -> None:
    """Files of a repository, with the names and sizes of restic's, in its order."""
    for key, size in (("keys", 440), ("data", 500), ("index", 200), ("snapshots", 250)):
        body = os.urandom(size)
        name = hashlib.sha256(body).hexdigest()
        s3.put(bucket, f"data/{name[:2]}/{name}" if key == "data" else f"{key}/{name}", body)
    s3.put(bucket, "config", bytes(155))


def test_a_malformed_file_under_a_valid_name_is_in_no_finding(server: Server) -> None:
    admin, user, bucket = server.connect(), server.connect("user1"), unique("threats")
    create_storage(admin, bucket, "user1")
    write_repository(user, bucket)
    before = audit_location(admin, Location(bucket)).counts()
    junk = os.urandom(200)
    user.put(bucket, f"index/{hashlib.sha256(junk).hexdigest()}", junk)
    next_second(admin, bucket)
    assert audit_location(admin, Location(bucket)).counts() == before


def test_a_machine_writes_any_number_of_versions(server: Server) -> None:
    admin, user, bucket = server.connect(), server.connect("user1"), unique("threats")
    create_storage(admin, bucket, "user1")
    write_repository(user, bucket)
    at_once(lambda number: user.put(bucket, "config", bytes(number)), range(100))
    user.delete(bucket, "config")
    next_second(admin, bucket)
    assert len([*admin.versions(bucket, "config")]) > 100
    audit = audit_location(admin, Location(bucket))
    assert audit.counts()["rewritten-config" if "rewritten-config" in audit.counts() else "changed-config"] > 50


def test_without_keys_nothing_is_reached(server: Server) -> None:
    admin, bucket = server.connect(), unique("threats")
    create_storage(admin, bucket, "user1")
    server.connect("user1").put(bucket, "key", b"1")
    before = list(admin.versions(bucket))
    http, url = urllib3.PoolManager(), f"{server.endpoint}/{bucket}"
    for method, path in (("GET", ""), ("GET", "?versions"), ("GET", "/key"), ("HEAD", "/key"), ("DELETE", "/key")):
        assert http.request(method, url + path).status == 403, (method, path)
    assert http.request("PUT", f"{url}/new", body=b"x").status == 403
    assert list(admin.versions(bucket)) == before


def assert_reads_only(admin: S3, reader: S3, bucket: str) -> None:
    """The reader reads every version and audits, and changes nothing."""
    first = admin.put(bucket, "config", bytes(155))
    admin.put(bucket, f"keys/{'ab' * 32}", bytes(440))
    admin.put(bucket, f"data/ab/{'ab' * 32}", bytes(500))
    admin.put(bucket, "config", b"overwritten")
    removed = admin.put(bucket, "removed", b"removed")
    admin.delete(bucket, "removed")
    before = list(admin.versions(bucket))
    assert list(reader.versions(bucket)) == before
    assert reader.get(bucket, "config", first) == bytes(155)
    assert reader.get(bucket, "removed", removed) == b"removed"
    changes: list[Callable[[], object]] = [
        lambda: reader.put(bucket, "config", b"x"),
        lambda: reader.delete(bucket, "config"),
        lambda: reader.client.delete_object(Bucket=bucket, Key="config", VersionId=first),
        lambda: reader.put_policy(bucket, {"Version": "2012-10-17", "Statement": []}),
    ]
    for change in changes:
        with pytest.raises((AccessDenied, ClientError)):
            change()
    assert list(admin.versions(bucket)) == before
    audit = audit_location(reader, Location(bucket))
    assert "rewritten-config" in audit.counts() or "changed-config" in audit.counts()


def test_read_only_keys_on_rgw(rgw: Server) -> None:
    admin, bucket = rgw.connect(), unique("threats")
    create_storage(admin, bucket, "user1")
    policy = admin.policy(bucket) or {}
    resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    reads = {"Sid": "Read", "Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam:::user/user2"]}, "Action": READ}
    admin.put_policy(bucket, {**policy, "Statement": [*policy["Statement"], {**reads, "Resource": resources}]})
    assert_reads_only(admin, rgw.connect("user2"), bucket)


@pytest.mark.slow
def test_read_only_keys_on_seaweedfs(tmp_path: Path) -> None:
    document = json.loads((ROOT / "examples" / "seaweedfs-s3.json").read_text())
    allowed = {"Effect": "Allow", "Action": READ, "Resource": ["arn:aws:s3:::bucket1", "arn:aws:s3:::bucket1/*"]}
    content = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    document["policies"].append({"name": "reader", "content": content})
    keys = [{"accessKey": "reader-access-key", "secretKey": "reader-secret-key"}]
    document["identities"].append({"name": "reader", "credentials": keys, "actions": [], "policyNames": ["reader"]})
    (tmp_path / "s3.json").write_text(json.dumps(document))
    with EmbeddedS3(tmp_path) as server:
        create_storage(server.connect("admin"), "bucket1", "user1")
        assert_reads_only(server.connect("admin"), server.connect("reader"), "bucket1")
