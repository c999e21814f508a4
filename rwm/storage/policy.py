"""The policy of a protected bucket. Pure.

The account of a machine gets an allow-list and, on top, explicit denies: on Ceph RGW an object belongs to its writer,
who may do more to it than any grant says. The admin is named too, because RGW would deny it the objects of the machine.
Statements are shared by all users where they are equal, because AWS limits a policy to 20 KB.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rwm.layout import ADMIN_PREFIX
from rwm.s3 import Policy
from rwm.storage.principals import SEAWEEDFS_ACCOUNT, is_aws_account, principal_account
from rwm.storage.users import UserAccess

Statement = dict[str, Any]

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
LIST_ACTIONS = ("s3:ListBucket", "s3:ListBucketVersions", "s3:ListBucketMultipartUploads")
"""Where a user of a prefix may list only below it. RGW knows no prefix of ListBucketMultipartUploads and refuses it."""
_UNLISTED_BUCKET_ACTIONS = tuple(action for action in USER_BUCKET_ACTIONS if action not in LIST_ACTIONS)
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
# RWM's records of what it did itself: a forged one would explain an attack.
DENIED_ADMIN_ACTIONS = ("s3:AbortMultipartUpload", "s3:DeleteObject", "s3:PutObject")
# Headers by which a PUT grants others access. One statement each: the conditions of one statement are combined by AND.
PUBLISHING_HEADERS = (
    "x-amz-acl",
    "x-amz-grant-read",
    "x-amz-grant-write",
    "x-amz-grant-read-acp",
    "x-amz-grant-write-acp",
    "x-amz-grant-full-control",
)


COPY_HEADER = "x-amz-copy-source"
"""restic copies nothing. On Ceph RGW this stops CopyObject, which publishes by an ACL header, but no UploadPartCopy."""
KMS_HEADER = "x-amz-server-side-encryption-aws-kms-key-id"
SSE_C_HEADER = "x-amz-server-side-encryption-customer-algorithm"
"""A machine must not encrypt with a key that the admin does not have. Ceph RGW has no condition for SSE-C."""


def protected_policy(bucket: str, admin: str, users: Iterable[UserAccess]) -> Policy:
    """The policy of a protected bucket. ``admin`` and the users are principal ARNs in the form of the server."""
    prefixes: dict[str, list[str]] = {}
    revoked = []
    for access in sorted(users):
        if access.revoked:
            revoked.append(access.user)
        else:
            prefixes.setdefault(access.user, []).append(access.prefix)
    whole = [user for user, own in prefixes.items() if "" in own]
    limited = {user: own for user, own in prefixes.items() if "" not in own}
    on_bucket, on_objects = f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"
    on_admin_area = f"{on_bucket}/{ADMIN_PREFIX}*"

    def deny_header(sid: str, header: str, denied_users: Iterable[str] = tuple(prefixes)) -> Statement:
        denied = make_statement(sid, "Deny", list(denied_users), ["s3:PutObject"], [on_objects])
        return denied | {"Condition": {"StringLike": {f"s3:{header}": ["?*"]}}}

    def deny_publishing(header: str) -> Statement:
        return deny_header("RwmUserPublishDenied" + header.removeprefix("x-amz").title().replace("-", ""), header)

    statements = [
        make_statement("RwmAdmin", "Allow", [admin], ["s3:*"], [on_bucket, on_objects]),
        make_statement("RwmUserBucket", "Allow", whole, USER_BUCKET_ACTIONS, [on_bucket]),
        make_statement("RwmUserObjects", "Allow", whole, USER_OBJECT_ACTIONS, [on_objects]),
        make_statement("RwmPrefixBucket", "Allow", [*limited], _UNLISTED_BUCKET_ACTIONS, [on_bucket]),
        make_statement("RwmPrefixAbsent", "Allow", [*filter(_is_of_rgw, limited)], ["s3:ListBucket"], [on_bucket])
        | {"Condition": {"Null": {"s3:max-keys": ["true"]}}},
    ]
    for number, (user, own) in enumerate(limited.items(), 1):
        statements += _prefix_statements(f"RwmPrefix{number}", user, bucket, own)
    statements += [
        make_statement("RwmUserBucketDenied", "Deny", [*prefixes], DENIED_BUCKET_ACTIONS, [on_bucket]),
        make_statement("RwmUserObjectsDenied", "Deny", [*prefixes], DENIED_OBJECT_ACTIONS, [on_objects]),
        # Users of prefixes are denied everything outside of them.
        make_statement("RwmAdminAreaDenied", "Deny", whole, DENIED_ADMIN_ACTIONS, [on_admin_area]),
        *map(deny_publishing, PUBLISHING_HEADERS),
        deny_header("RwmUserCopyDenied", COPY_HEADER),
        deny_header("RwmUserKmsKeyDenied", KMS_HEADER),
        deny_header("RwmUserSseCDenied", SSE_C_HEADER, (user for user in prefixes if not _is_of_rgw(user))),
        # On RGW a writer keeps rights on its objects without any grant.
        make_statement("RwmRevoked", "Deny", revoked, ["s3:*"], [on_bucket, on_objects]),
    ]
    return {"Version": "2012-10-17", "Statement": [each for each in statements if each["Principal"]["AWS"]]}


def _is_of_rgw(user: str) -> bool:
    """Whether the principal has the form of RGW: no account, or a tenant.

    RGW gives every listing ``s3:max-keys``, but neither HeadBucket nor the question whether a key is absent (404) or
    must not be seen (403). restic needs both. AWS gives it only to some listings, and must not get this statement.
    """
    return not is_aws_account(principal_account(user))


def _prefix_statements(sid: str, user: str, bucket: str, prefixes: list[str]) -> list[Statement]:
    """What ``user`` may do below its prefixes, and denies of everything outside.

    The denies matter where something else allows more: on SeaweedFS the user's identity policy, on RGW the ACL of
    objects that it wrote.
    """
    on_bucket = f"arn:aws:s3:::{bucket}"
    patterns = [f"{prefix}*" for prefix in prefixes]
    on_objects = [f"{on_bucket}/{pattern}" for pattern in patterns]
    outside = make_statement(f"{sid}OutsideDenied", "Deny", [user], ["s3:*"], [])
    del outside["Resource"]
    outside["NotResource"] = [on_bucket, *on_objects]
    statements = [
        make_statement(f"{sid}List", "Allow", [user], LIST_ACTIONS, [on_bucket])
        | {"Condition": {"StringLike": {"s3:prefix": patterns}}},
        make_statement(f"{sid}Objects", "Allow", [user], USER_OBJECT_ACTIONS, on_objects),
        outside,
    ]
    if len(prefixes) == 1 or not _is_of_rgw(user):  # RGW would deny all that is not below every one of the prefixes
        statements.append(_list_denied(sid, user, on_bucket, patterns))
    return statements


def _list_denied(sid: str, user: str, on_bucket: str, patterns: list[str]) -> Statement:
    """Deny listings outside of the prefixes.

    HeadBucket, which restic 0.14 needs, is a ListBucket without a prefix. SeaweedFS tells it by the request's method.
    """
    elsewhere: dict[str, Any] = {"StringNotLike": {"s3:prefix": patterns}}
    if principal_account(user) == SEAWEEDFS_ACCOUNT:
        elsewhere["StringNotEquals"] = {"s3:RequestMethod": ["HEAD"]}
    denied = make_statement(f"{sid}ListDenied", "Deny", [user], LIST_ACTIONS, [on_bucket])
    return denied | {"Condition": elsewhere}


def make_statement(
    sid: str, effect: str, principals: list[str], actions: Iterable[str], resources: list[str]
) -> Statement:
    """A statement without a condition."""
    return {
        "Sid": sid,
        "Effect": effect,
        "Principal": {"AWS": principals},
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
