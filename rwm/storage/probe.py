"""Probe: try every forbidden operation with a machine's own keys, each in a form that harms nothing if it succeeds.

The machine writes a few small objects below ``rwm/probe/`` and tries to destroy, publish, lock or read back their
versions. Settings are replaced by what they are already. What has no harmless form is not tried, and says so.
"""

from __future__ import annotations

import secrets
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import md5
from typing import Any, NamedTuple

from rwm.errors import AccessDenied, NotFound, RwmError, S3Error, UsageError
from rwm.layout import ADMIN_PREFIX
from rwm.location import Location
from rwm.s3 import S3
from rwm.storage.attempts import Attempt, attempt, probe_key, remove_leftovers
from rwm.storage.policy import KMS_HEADER, PUBLISHING_HEADERS, SSE_C_HEADER
from rwm.storage.policy_users import policy_users
from rwm.storage.principals import SEAWEEDFS_ACCOUNT, admin_principal, is_aws_account, principal_account
from rwm.storage.users import NO_RIGHTS, Rights

_GROUP = 'uri="http://acs.amazonaws.com/groups/global/AuthenticatedUsers"'
_LOCK_SECONDS = 60
"""How long a version stays locked if the machine can lock it; the admin removes the lock before."""

Action = Callable[[], object]


class _Trial(NamedTuple):
    """An operation to try. ``limit`` says why a server lets it through whatever the policy is; ``skip`` why it is not
    tried; ``through`` are error codes of an operation that was allowed; ``undo`` runs if it got through.
    """

    operation: str
    action: Action = lambda: None
    undo: Action | None = None
    limit: str = ""
    skip: str = ""
    through: tuple[str, ...] = ()


class _Bench(NamedTuple):
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


def probe_storage(admin: S3, user: S3, place: Location) -> list[Attempt]:
    """Try every operation that a machine must not be able to do below ``place``, and undo what gets through.

    Raises UsageError if both clients have the same keys, and AccessDenied if the machine may not write there at all.
    """
    if admin.settings.credentials == user.settings.credentials:
        raise UsageError("the configuration of the machine has the admin's keys", hint="name that of the machine")
    directory = probe_key(place.prefix)
    outside = probe_key("") if place.prefix else ""
    admin_area = f"{ADMIN_PREFIX}probe/{secrets.token_hex(8)}"
    try:
        bench = _prepare(admin, user, place, directory, outside, admin_area)
        found = [_try(trial) for trial in _trials(bench)]
    finally:
        written = filter(None, (directory, outside, admin_area))
        left = [each for name in written for each in _clean(admin, place.bucket, name)]
    return found + [Attempt("remove what the probe wrote", "cannot be tried", why) for why in left]


def _prepare(admin: S3, user: S3, place: Location, directory: str, outside: str, admin_area: str) -> _Bench:
    key = f"{directory}/object"
    try:
        first = user.put(place.bucket, key, b"1")
    except AccessDenied as error:
        error.hint = f"the probe needs the keys of a machine that may write below {place}: is it frozen?"
        raise
    user.put(place.bucket, key, b"2")
    if outside:
        admin.put(place.bucket, f"{outside}/object", b"1")
    admin.put(place.bucket, f"{admin_area}/object", b"1")
    server, rights = _server(admin, place.bucket), _rights(admin, place)
    return _Bench(admin, user, place, directory, outside, first, server, admin_area, rights)


def _rights(admin: S3, place: Location) -> Rights:
    """What the policy means the machine to be allowed."""
    owner, _ = admin.acl(place.bucket)
    users = policy_users(admin.policy(place.bucket), place.bucket, owner)
    return next((access.rights for access in users if access.covers(place.prefix)), NO_RIGHTS)


def _server(admin: S3, bucket: str) -> str:
    """``rgw``, ``seaweedfs`` or ``aws``, by the form of the admin's principal."""
    owner, _ = admin.acl(bucket)
    account = principal_account(admin_principal(admin.policy(bucket) or {}, owner))
    if account == SEAWEEDFS_ACCOUNT:
        return "seaweedfs"
    return "aws" if is_aws_account(account) else "rgw"


def _try(trial: _Trial) -> Attempt:
    if trial.skip:
        return Attempt(trial.operation, "cannot be tried", trial.skip)
    found = attempt(trial.operation, trial.action, trial.through)
    if found.outcome != "NOT REFUSED":
        return found
    detail = trial.limit
    if trial.undo:
        try:
            trial.undo()
        except RwmError as error:
            detail = f"not undone: {error.message}"
    return Attempt(found.operation, found.outcome, detail, known=bool(trial.limit))


def _trials(bench: _Bench) -> Iterator[_Trial]:
    yield from _reading(bench)
    yield from _publishing(bench)
    yield from _encrypting(bench)
    yield from _locking(bench)
    yield from _destroying(bench)  # after what needs the version
    yield from _settings(bench)
    yield from _forging_records(bench)
    if bench.outside:
        yield from _reaching_outside(bench)


def _destroying(bench: _Bench) -> Iterator[_Trial]:
    one = {"VersionId": bench.first}
    yield _Trial("DeleteObject of a version", bench.mine("delete_object", **one))
    yield _Trial("DeleteObjects of a version", lambda: _delete_in_batch(bench))
    if bench.rights.strict:
        yield _Trial("DeleteObject outside of locks/", bench.mine("delete_object", "deleted"))
        yield _Trial("DeleteObjects outside of locks/", lambda: _mark_in_batch(bench))
    yield _Trial("PutObjectTagging", bench.mine("put_object_tagging", Tagging={"TagSet": []}))
    yield _Trial("PutObjectTagging of a version", bench.mine("put_object_tagging", Tagging={"TagSet": []}, **one))


def _delete_in_batch(bench: _Bench) -> None:
    """Delete a version in a batch. Raises AccessDenied also for a refusal inside a successful answer."""
    failures = bench.user.delete_versions(bench.bucket, [(bench.key, bench.first)])
    if failures:
        raise _refusal(failures[0].code)


def _mark_in_batch(bench: _Bench) -> None:
    """Put a delete marker in a batch. Raises as :func:`_delete_in_batch`."""
    answer = bench.user.call(
        "delete_objects", Bucket=bench.bucket, Delete={"Objects": [{"Key": f"{bench.directory}/deleted"}]}
    )
    if failures := answer.get("Errors"):
        raise _refusal(str(failures[0].get("Code", "")))


def _refusal(code: str) -> S3Error:
    """The error of a key in a batch."""
    error = AccessDenied("DeleteObjects") if code == "AccessDenied" else S3Error(code)
    error.code = code
    return error


def _reading(bench: _Bench) -> Iterator[_Trial]:
    source = {"Bucket": bench.bucket, "Key": bench.key, "VersionId": bench.first}
    if not bench.rights.version_reads:
        yield _Trial("GetObject of a noncurrent version", bench.mine("get_object", VersionId=bench.first))
        yield _Trial("HeadObject of a noncurrent version", bench.mine("head_object", VersionId=bench.first))
    yield _Trial("CopyObject of a noncurrent version", bench.mine("copy_object", "copy", CopySource=source))
    current = {"Bucket": bench.bucket, "Key": bench.key}
    yield _Trial("CopyObject", bench.mine("copy_object", "copy", CopySource=current))
    yield _Trial(
        "UploadPartCopy of a noncurrent version",
        lambda: _copy_part(bench, source),
        limit=bench.on("rgw", limit="Ceph RGW lets the writer of an object copy its versions whatever the policy says"),
    )
    if bench.server == "seaweedfs" and not bench.rights.version_reads:
        yield _Trial(
            "GetObject of a noncurrent version by its path",
            bench.mine("get_object", f"object.versions/v_{bench.first}"),
            limit="SeaweedFS keeps versions as files beside the object, which may be read like it",
        )


def _copy_part(bench: _Bench, source: dict[str, str]) -> None:
    upload = bench.mine("create_multipart_upload", "parts")()["UploadId"]  # type: ignore[index]  # a response
    bench.mine("upload_part_copy", "parts", UploadId=upload, PartNumber=1, CopySource=source)()


def _publishing(bench: _Bench) -> Iterator[_Trial]:
    yield _Trial("PutObjectAcl", bench.mine("put_object_acl", ACL="private"))
    yield _Trial("PutObjectAcl of a version", bench.mine("put_object_acl", ACL="private", VersionId=bench.first))
    for header in PUBLISHING_HEADERS:
        value = "authenticated-read" if header == "x-amz-acl" else _GROUP
        yield _Trial(f"PutObject with {header}", bench.mine("put_object", "acl", Body=b"", headers={header: value}))
    limit = bench.on("rgw", limit="Ceph RGW checks no condition here; restic's contents are encrypted")
    acl = {"ACL": "authenticated-read"}
    source = {"Bucket": bench.bucket, "Key": bench.key}
    yield _Trial("CopyObject with x-amz-acl", bench.mine("copy_object", "acl", CopySource=source, **acl))
    yield _Trial(
        "CreateMultipartUpload with x-amz-acl", bench.mine("create_multipart_upload", "acl", **acl), limit=limit
    )


def _encrypting(bench: _Bench) -> Iterator[_Trial]:
    """Encryption with keys that the admin does not have."""
    key = secrets.token_bytes(32)
    headers = {
        SSE_C_HEADER: "AES256",
        SSE_C_HEADER.replace("algorithm", "key"): b64encode(key).decode(),
        SSE_C_HEADER.replace("algorithm", "key-MD5"): b64encode(md5(key, usedforsecurity=False).digest()).decode(),
    }
    limit = bench.on("rgw", limit="Ceph RGW knows no condition for it; earlier versions stay as they are")
    yield _Trial(
        "PutObject with a key of the client (SSE-C)",
        bench.mine("put_object", "encrypted", Body=b"", headers=headers),
        limit=limit,
    )
    headers = {"x-amz-server-side-encryption": "aws:kms", KMS_HEADER: "rwm-probe"}
    yield _Trial("PutObject with a KMS key", bench.mine("put_object", "encrypted", Body=b"", headers=headers))


def _locking(bench: _Bench) -> Iterator[_Trial]:
    """Locks, each on an object of its own. RGW and SeaweedFS take no retention back: the admin deletes the version."""
    until = datetime.now(UTC) + timedelta(seconds=_LOCK_SECONDS)
    mode = {"Mode": "GOVERNANCE", "RetainUntilDate": until}
    for name, operation, lock in (
        ("PutObjectRetention", "put_object_retention", {"Retention": mode}),
        ("PutObjectLegalHold", "put_object_legal_hold", {"LegalHold": {"Status": "ON"}}),
    ):
        key = f"{bench.directory}/{name}"
        bench.user.put(bench.bucket, key, b"")
        yield _Trial(name, bench.mine(operation, name, **lock), partial(_delete_locked, bench, key))


def _delete_locked(bench: _Bench, key: str) -> None:
    for entry in bench.admin.versions(bench.bucket, key):
        version: dict[str, Any] = {"Bucket": bench.bucket, "Key": key, "VersionId": entry.version_id}
        bench.admin.call("put_object_legal_hold", **version, LegalHold={"Status": "OFF"})
        bench.admin.call("delete_object", **version, BypassGovernanceRetention=True)


def _settings(bench: _Bench) -> Iterator[_Trial]:
    """Settings, replaced by what they are."""
    admin, bucket = bench.admin, bench.bucket
    enabled = admin.versioning(bucket) == "Enabled"
    yield _Trial(
        "PutBucketVersioning",
        bench.setting("put_bucket_versioning", VersioningConfiguration={"Status": "Enabled"}),
        skip="" if enabled else "versioning is not enabled, so that trying would change it",
    )
    policy = admin.policy(bucket)
    yield _Trial(
        "PutBucketPolicy",
        lambda: bench.user.put_policy(bucket, policy or {}),
        skip="" if policy else "the bucket has no policy that could be written again",
    )
    yield _Trial("DeleteBucketPolicy", skip="it would leave the bucket without its policy for a moment")
    owner, granted = admin.acl(bucket)
    private = {grantee for grantee, _ in granted} <= {owner}
    yield _Trial(
        "PutBucketAcl",
        bench.setting("put_bucket_acl", ACL="private"),
        lambda: admin.make_private(bucket),
        skip="" if private else "the ACL has grants that trying would change",
    )
    yield _lifecycle(bench)
    yield _cors(bench)
    yield _Trial(
        "PutObjectLockConfiguration",
        bench.setting("put_object_lock_configuration", ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"}),
        skip="it would replace the default retention" if admin.has_object_lock(bucket) else "",
    )
    yield _Trial(
        "DeleteBucket",
        bench.setting("delete_bucket"),
        skip="SeaweedFS may delete a bucket that is not empty" if bench.server == "seaweedfs" else "",
        through=("BucketNotEmpty",),
    )


def _lifecycle(bench: _Bench) -> _Trial:
    admin, bucket = bench.admin, bench.bucket
    own = {"ID": "rwm-probe", "Status": "Disabled", "Filter": {"Prefix": bench.directory}, "Expiration": {"Days": 9999}}
    rules = admin.lifecycle_rules(bucket)
    undo = None if rules else lambda: admin.call("delete_bucket_lifecycle", Bucket=bucket)
    return _Trial("PutBucketLifecycle", lambda: bench.user.put_lifecycle_rules(bucket, rules or [own]), undo)


def _cors(bench: _Bench) -> _Trial:
    admin, bucket = bench.admin, bench.bucket
    rules: Any = None
    with suppress(NotFound):
        rules = admin.call("get_bucket_cors", Bucket=bucket)["CORSRules"]
    own = [{"AllowedMethods": ["GET"], "AllowedOrigins": ["https://rwm.invalid"]}]
    undo = None if rules else lambda: admin.call("delete_bucket_cors", Bucket=bucket)
    return _Trial(
        "PutBucketCors", bench.setting("put_bucket_cors", CORSConfiguration={"CORSRules": rules or own}), undo
    )


def _forging_records(bench: _Bench) -> Iterator[_Trial]:
    """Writing where the admin keeps its records of operations."""
    record: dict[str, Any] = {"Bucket": bench.bucket, "Key": f"{bench.admin_area}/object"}
    user = bench.user
    yield _Trial("PutObject among the admin's records", lambda: user.call("put_object", **record, Body=b""))
    yield _Trial("DeleteObject of a record of the admin", lambda: user.call("delete_object", **record))
    yield _Trial("CreateMultipartUpload among the records", lambda: user.call("create_multipart_upload", **record))


def _reaching_outside(bench: _Bench) -> Iterator[_Trial]:
    """What a machine with a prefix may not do beside it."""
    outside: dict[str, Any] = {"Bucket": bench.bucket, "Key": f"{bench.outside}/object"}
    user = bench.user
    yield _Trial("GetObject outside of the prefix", lambda: user.call("get_object", **outside))
    yield _Trial("PutObject outside of the prefix", lambda: user.call("put_object", **outside, Body=b""))
    yield _Trial("DeleteObject outside of the prefix", lambda: user.call("delete_object", **outside))
    for operation, name in (("list_objects_v2", "ListObjectsV2"), ("list_object_versions", "ListObjectVersions")):
        yield _Trial(f"{name} of the bucket", bench.setting(operation, MaxKeys=1))
        yield _Trial(f"{name} outside of the prefix", bench.setting(operation, MaxKeys=1, Prefix=bench.outside))


def _clean(admin: S3, bucket: str, directory: str) -> list[str]:
    """Remove everything below a directory of the probe."""
    try:
        keys = {entry.key for entry in admin.versions(bucket, f"{directory}/")}
        keys |= {key for key, _, _ in admin.unfinished_uploads(bucket) if key.startswith(f"{directory}/")}
    except RwmError as error:
        return [f"{directory}: {error.message}"]
    return remove_leftovers(admin, bucket, sorted(keys))
