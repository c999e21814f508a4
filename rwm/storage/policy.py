"""The policy of a protected bucket. Pure.

The machine's account gets an allow-list and, on top, explicit denies: on Ceph RGW an object belongs to its writer, who
may do more to it than any grant says. The admin is named too, because RGW would deny it the objects of the machine.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rwm.s3 import Policy

USER_BUCKET_ACTIONS = (
    "s3:GetBucketLocation",
    "s3:ListBucket",
    "s3:ListBucketVersions",
    "s3:ListBucketMultipartUploads",
    # `storage check` reads these, so that the machine notices drift too.
    "s3:GetBucketAcl",
    "s3:GetBucketObjectLockConfiguration",
    "s3:GetBucketPolicy",
    "s3:GetBucketVersioning",
    "s3:GetLifecycleConfiguration",
    # RGW requires it on the bucket too for DeleteObjects.
    "s3:DeleteObject",
)
USER_OBJECT_ACTIONS = (
    "s3:AbortMultipartUpload",
    "s3:DeleteObject",
    "s3:GetObject",
    "s3:ListMultipartUploadParts",
    "s3:PutObject",
)
# Only actions that Ceph RGW 16 knows: it refuses a whole policy for one unknown action (PutEncryptionConfiguration).
# Every other action is denied because it is not allowed above.
DENIED_BUCKET_ACTIONS = (
    "s3:DeleteBucket",
    "s3:DeleteBucketPolicy",
    "s3:DeleteBucketWebsite",
    "s3:PutBucketAcl",
    "s3:PutBucketCORS",
    "s3:PutBucketObjectLockConfiguration",
    "s3:PutBucketPolicy",
    "s3:PutBucketVersioning",
    "s3:PutBucketWebsite",
    "s3:PutLifecycleConfiguration",
    "s3:PutReplicationConfiguration",
)
DENIED_OBJECT_ACTIONS = (
    "s3:BypassGovernanceRetention",
    "s3:DeleteObjectVersion",
    "s3:GetObjectVersion",  # stolen keys must not read deleted data; recovery uses the admin's keys
    "s3:PutObjectAcl",
    "s3:PutObjectLegalHold",
    "s3:PutObjectRetention",
    "s3:PutObjectTagging",
    "s3:PutObjectVersionAcl",
    "s3:PutObjectVersionTagging",
)
# Headers by which a PUT grants others access. One statement each: the conditions of one statement are combined by AND.
PUBLISHING_HEADERS = (
    "x-amz-acl",
    "x-amz-grant-read",
    "x-amz-grant-write",
    "x-amz-grant-read-acp",
    "x-amz-grant-write-acp",
    "x-amz-grant-full-control",
)


def protected_policy(bucket: str, admin: str, user: str) -> Policy:
    """The policy of a protected bucket. ``admin`` and ``user`` are principal ARNs in the form of the server."""
    on_bucket, on_objects = f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"

    def deny_header(header: str) -> dict[str, Any]:
        sid = "RwmUserPublishDenied" + header.removeprefix("x-amz").title().replace("-", "")
        denied = _statement(sid, "Deny", user, ["s3:PutObject"], [on_objects])
        return denied | {"Condition": {"StringLike": {f"s3:{header}": ["?*"]}}}

    return {
        "Version": "2012-10-17",
        "Statement": [
            _statement("RwmAdmin", "Allow", admin, ["s3:*"], [on_bucket, on_objects]),
            _statement("RwmUserBucket", "Allow", user, USER_BUCKET_ACTIONS, [on_bucket]),
            _statement("RwmUserObjects", "Allow", user, USER_OBJECT_ACTIONS, [on_objects]),
            _statement("RwmUserBucketDenied", "Deny", user, DENIED_BUCKET_ACTIONS, [on_bucket]),
            _statement("RwmUserObjectsDenied", "Deny", user, DENIED_OBJECT_ACTIONS, [on_objects]),
            *map(deny_header, PUBLISHING_HEADERS),
        ],
    }


def _statement(sid: str, effect: str, principal: str, actions: Iterable[str], resources: list[str]) -> dict[str, Any]:
    return {
        "Sid": sid,
        "Effect": effect,
        "Principal": {"AWS": [principal]},
        "Action": list(actions),
        "Resource": resources,
    }


def probe_policy(bucket: str, principal: str) -> Policy:
    """A policy that denies ``principal`` one harmless action: if it takes effect, the server knows that principal."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Deny",
                "Principal": {"AWS": [principal]},
                "Action": ["s3:ListBucketVersions"],
                "Resource": [f"arn:aws:s3:::{bucket}"],
            }
        ],
    }
