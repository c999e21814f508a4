"""The operations that a probe tries: what a machine must not be able to do, each in a form that harms nothing."""

from __future__ import annotations

import secrets
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import md5
from typing import Any, NamedTuple

from rwm.errors import AccessDenied, NotFound, S3Error
from rwm.location import Location
from rwm.s3 import S3
from rwm.storage.policy import KMS_HEADER, PUBLISHING_HEADERS, SSE_C_HEADER
from rwm.storage.users import Rights

_GROUP = 'uri="http://acs.amazonaws.com/groups/global/AuthenticatedUsers"'
_LOCK_SECONDS = 60
"""How long a version stays locked if the machine can lock it; the admin removes the lock before."""

Action = Callable[[], object]


class Trial(NamedTuple):
    """An operation to try. ``limit`` says why a server lets it through whatever the policy is; ``skip`` why it is not
    tried; ``through`` are error codes of an operation that was allowed; ``undo`` runs if it got through.
    """

    operation: str
    action: Action = lambda: None
    undo: Action | None = None
    limit: str = ""
    skip: str = ""
    through: tuple[str, ...] = ()


class ProbeTarget(NamedTuple):
    """What the trials work with: clients, the place of the machine, and its probe object with two versions."""

    admin: S3
    user: S3
    place: Location
    directory: str
    outside: str
    """A directory that the machine must not reach; empty if the whole bucket is its own."""
    first: str
    server: str
    admin_area: str
    """A directory where only the admin may write."""
    rights: Rights

    @property
    def bucket(self) -> str:
        """The bucket of the machine."""
        return self.place.bucket

    @property
    def key(self) -> str:
        """The key of the probe object."""
        return self.directory + "/object"

    def mine(self, operation: str, name: str = "object", **parameters: Any) -> Action:
        """The operation on an object of the machine."""
        key = f"{self.directory}/{name}"
        return lambda: self.user.call(operation, Bucket=self.bucket, Key=key, **parameters)

    def setting(self, operation: str, **parameters: Any) -> Action:
        """The operation on the bucket."""
        return lambda: self.user.call(operation, Bucket=self.bucket, **parameters)

    def on(self, *servers: str, limit: str) -> str:
        """The limit if the server has it, else an empty string."""
        return limit if self.server in servers else ""


def trials(target: ProbeTarget) -> Iterator[Trial]:
    """All trials, in the order in which they can run."""
    yield from _reading(target)
    yield from _publishing(target)
    yield from _encrypting(target)
    yield from _locking(target)
    yield from _destroying(target)  # after what needs the version
    yield from _settings(target)
    yield from _forging_records(target)
    if target.outside:
        yield from _reaching_outside(target)


def _destroying(target: ProbeTarget) -> Iterator[Trial]:
    one = {"VersionId": target.first}
    yield Trial("DeleteObject of a version", target.mine("delete_object", **one))
    yield Trial("DeleteObjects of a version", lambda: _delete_in_batch(target))
    if target.rights.strict:
        yield Trial("DeleteObject outside of locks/", target.mine("delete_object", "deleted"))
        yield Trial("DeleteObjects outside of locks/", lambda: _mark_in_batch(target))
    yield Trial("PutObjectTagging", target.mine("put_object_tagging", Tagging={"TagSet": []}))
    yield Trial("PutObjectTagging of a version", target.mine("put_object_tagging", Tagging={"TagSet": []}, **one))


def _delete_in_batch(target: ProbeTarget) -> None:
    """Delete a version in a batch. Raises AccessDenied also for a refusal inside a successful answer."""
    failures = target.user.delete_versions(target.bucket, [(target.key, target.first)])
    if failures:
        raise _refusal(failures[0].code)


def _mark_in_batch(target: ProbeTarget) -> None:
    """Put a delete marker in a batch. Raises as :func:`_delete_in_batch`."""
    answer = target.user.call(
        "delete_objects", Bucket=target.bucket, Delete={"Objects": [{"Key": f"{target.directory}/deleted"}]}
    )
    if failures := answer.get("Errors"):
        raise _refusal(str(failures[0].get("Code", "")))


def _refusal(code: str) -> S3Error:
    """The error of a key in a batch."""
    error = AccessDenied("DeleteObjects") if code == "AccessDenied" else S3Error(code)
    error.code = code
    return error


def _reading(target: ProbeTarget) -> Iterator[Trial]:
    source = {"Bucket": target.bucket, "Key": target.key, "VersionId": target.first}
    if not target.rights.version_reads:
        yield Trial("GetObject of a noncurrent version", target.mine("get_object", VersionId=target.first))
        yield Trial("HeadObject of a noncurrent version", target.mine("head_object", VersionId=target.first))
    yield Trial("CopyObject of a noncurrent version", target.mine("copy_object", "copy", CopySource=source))
    current = {"Bucket": target.bucket, "Key": target.key}
    yield Trial("CopyObject", target.mine("copy_object", "copy", CopySource=current))
    yield Trial(
        "UploadPartCopy of a noncurrent version",
        lambda: _copy_part(target, source),
        limit=target.on(
            "rgw", limit="Ceph RGW lets the writer of an object copy its versions whatever the policy says"
        ),
    )
    if target.server == "seaweedfs" and not target.rights.version_reads:
        yield Trial(
            "GetObject of a noncurrent version by its path",
            target.mine("get_object", f"object.versions/v_{target.first}"),
            limit="SeaweedFS keeps versions as files beside the object, which may be read like it",
        )


def _copy_part(target: ProbeTarget, source: dict[str, str]) -> None:
    upload = target.mine("create_multipart_upload", "parts")()["UploadId"]  # type: ignore[index]  # a response
    target.mine("upload_part_copy", "parts", UploadId=upload, PartNumber=1, CopySource=source)()


def _publishing(target: ProbeTarget) -> Iterator[Trial]:
    yield Trial("PutObjectAcl", target.mine("put_object_acl", ACL="private"))
    yield Trial("PutObjectAcl of a version", target.mine("put_object_acl", ACL="private", VersionId=target.first))
    for header in PUBLISHING_HEADERS:
        value = "authenticated-read" if header == "x-amz-acl" else _GROUP
        yield Trial(f"PutObject with {header}", target.mine("put_object", "acl", Body=b"", headers={header: value}))
    limit = target.on("rgw", limit="Ceph RGW checks no condition here; restic's contents are encrypted")
    acl = {"ACL": "authenticated-read"}
    source = {"Bucket": target.bucket, "Key": target.key}
    yield Trial("CopyObject with x-amz-acl", target.mine("copy_object", "acl", CopySource=source, **acl))
    yield Trial(
        "CreateMultipartUpload with x-amz-acl", target.mine("create_multipart_upload", "acl", **acl), limit=limit
    )


def _encrypting(target: ProbeTarget) -> Iterator[Trial]:
    """Encryption with keys that the admin does not have."""
    key = secrets.token_bytes(32)
    headers = {
        SSE_C_HEADER: "AES256",
        SSE_C_HEADER.replace("algorithm", "key"): b64encode(key).decode(),
        SSE_C_HEADER.replace("algorithm", "key-MD5"): b64encode(md5(key, usedforsecurity=False).digest()).decode(),
    }
    limit = target.on("rgw", limit="Ceph RGW knows no condition for it; earlier versions stay as they are")
    yield Trial(
        "PutObject with a key of the client (SSE-C)",
        target.mine("put_object", "encrypted", Body=b"", headers=headers),
        limit=limit,
    )
    headers = {"x-amz-server-side-encryption": "aws:kms", KMS_HEADER: "rwm-probe"}
    yield Trial("PutObject with a KMS key", target.mine("put_object", "encrypted", Body=b"", headers=headers))


def _locking(target: ProbeTarget) -> Iterator[Trial]:
    """Locks, each on an object of its own. RGW and SeaweedFS take no retention back: the admin deletes the version."""
    until = datetime.now(UTC) + timedelta(seconds=_LOCK_SECONDS)
    mode = {"Mode": "GOVERNANCE", "RetainUntilDate": until}
    for name, operation, lock in (
        ("PutObjectRetention", "put_object_retention", {"Retention": mode}),
        ("PutObjectLegalHold", "put_object_legal_hold", {"LegalHold": {"Status": "ON"}}),
    ):
        key = f"{target.directory}/{name}"
        target.user.put(target.bucket, key, b"")
        yield Trial(name, target.mine(operation, name, **lock), partial(_delete_locked, target, key))


def _delete_locked(target: ProbeTarget, key: str) -> None:
    for entry in target.admin.versions(target.bucket, key):
        version: dict[str, Any] = {"Bucket": target.bucket, "Key": key, "VersionId": entry.version_id}
        target.admin.call("put_object_legal_hold", **version, LegalHold={"Status": "OFF"})
        target.admin.call("delete_object", **version, BypassGovernanceRetention=True)


def _settings(target: ProbeTarget) -> Iterator[Trial]:
    """Settings, replaced by what they are."""
    admin, bucket = target.admin, target.bucket
    enabled = admin.versioning(bucket) == "Enabled"
    yield Trial(
        "PutBucketVersioning",
        target.setting("put_bucket_versioning", VersioningConfiguration={"Status": "Enabled"}),
        skip="" if enabled else "versioning is not enabled, so that trying would change it",
    )
    policy = admin.policy(bucket)
    yield Trial(
        "PutBucketPolicy",
        lambda: target.user.put_policy(bucket, policy or {}),
        skip="" if policy else "the bucket has no policy that could be written again",
    )
    yield Trial("DeleteBucketPolicy", skip="it would leave the bucket without its policy for a moment")
    owner, granted = admin.acl(bucket)
    private = {grantee for grantee, _ in granted} <= {owner}
    yield Trial(
        "PutBucketAcl",
        target.setting("put_bucket_acl", ACL="private"),
        lambda: admin.make_private(bucket),
        skip="" if private else "the ACL has grants that trying would change",
    )
    yield _lifecycle(target)
    yield _cors(target)
    yield Trial(
        "PutObjectLockConfiguration",
        target.setting("put_object_lock_configuration", ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"}),
        skip="it would replace the default retention" if admin.has_object_lock(bucket) else "",
    )
    yield Trial(
        "DeleteBucket",
        target.setting("delete_bucket"),
        skip="SeaweedFS may delete a bucket that is not empty" if target.server == "seaweedfs" else "",
        through=("BucketNotEmpty",),
    )


def _lifecycle(target: ProbeTarget) -> Trial:
    admin, bucket = target.admin, target.bucket
    own = {
        "ID": "rwm-probe",
        "Status": "Disabled",
        "Filter": {"Prefix": target.directory},
        "Expiration": {"Days": 9999},
    }
    rules = admin.lifecycle_rules(bucket)
    undo = None if rules else lambda: admin.call("delete_bucket_lifecycle", Bucket=bucket)
    return Trial("PutBucketLifecycle", lambda: target.user.put_lifecycle_rules(bucket, rules or [own]), undo)


def _cors(target: ProbeTarget) -> Trial:
    admin, bucket = target.admin, target.bucket
    rules: Any = None
    with suppress(NotFound):
        rules = admin.call("get_bucket_cors", Bucket=bucket)["CORSRules"]
    own = [{"AllowedMethods": ["GET"], "AllowedOrigins": ["https://rwm.invalid"]}]
    undo = None if rules else lambda: admin.call("delete_bucket_cors", Bucket=bucket)
    return Trial(
        "PutBucketCors", target.setting("put_bucket_cors", CORSConfiguration={"CORSRules": rules or own}), undo
    )


def _forging_records(target: ProbeTarget) -> Iterator[Trial]:
    """Writing where the admin keeps its records of operations."""
    record: dict[str, Any] = {"Bucket": target.bucket, "Key": f"{target.admin_area}/object"}
    user = target.user
    yield Trial("PutObject among the admin's records", lambda: user.call("put_object", **record, Body=b""))
    yield Trial("DeleteObject of a record of the admin", lambda: user.call("delete_object", **record))
    yield Trial("CreateMultipartUpload among the records", lambda: user.call("create_multipart_upload", **record))


def _reaching_outside(target: ProbeTarget) -> Iterator[Trial]:
    """What a machine with a prefix may not do beside it."""
    outside: dict[str, Any] = {"Bucket": target.bucket, "Key": f"{target.outside}/object"}
    user = target.user
    yield Trial("GetObject outside of the prefix", lambda: user.call("get_object", **outside))
    yield Trial("PutObject outside of the prefix", lambda: user.call("put_object", **outside, Body=b""))
    yield Trial("DeleteObject outside of the prefix", lambda: user.call("delete_object", **outside))
    for operation, name in (("list_objects_v2", "ListObjectsV2"), ("list_object_versions", "ListObjectVersions")):
        yield Trial(f"{name} of the bucket", target.setting(operation, MaxKeys=1))
        yield Trial(f"{name} outside of the prefix", target.setting(operation, MaxKeys=1, Prefix=target.outside))
