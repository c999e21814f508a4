"""The policy of a protected bucket. Pure.

The account of a machine gets an allow-list and, on top, explicit denies: on Ceph RGW an object belongs to its writer,
who may do more to it than any grant says. The admin is named too, because RGW would deny it the objects of the machine.
Statements are shared by all users where they are equal, because AWS limits a policy to 20 KB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from rwm.layout import ADMIN_PREFIX
from rwm.s3 import Policy
from rwm.storage.principals import SEAWEEDFS_ACCOUNT, is_aws_account, principal_account
from rwm.storage.users import Rights, UserAccess

Statement = dict[str, Any]

DELETE_ACTION = "s3:DeleteObject"
LOCK_PATTERNS = ("locks/*", "*/locks/*")
"""What a strict user may delete below its prefix: restic's locks."""

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
    DELETE_ACTION,
)
LIST_ACTIONS = ("s3:ListBucket", "s3:ListBucketVersions", "s3:ListBucketMultipartUploads")
"""Where a user of a prefix may list only below it. RGW knows no prefix of ListBucketMultipartUploads and refuses it."""
_UNLISTED_BUCKET_ACTIONS = tuple(action for action in USER_BUCKET_ACTIONS if action not in LIST_ACTIONS)
USER_OBJECT_ACTIONS = (
    "s3:AbortMultipartUpload",
    DELETE_ACTION,
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
READ_VERSION_ACTION = "s3:GetObjectVersion"
"""Denied unless asked for: stolen keys must not read deleted data, and recovery uses the admin's keys."""
DENIED_OBJECT_ACTIONS = (
    "s3:BypassGovernanceRetention",
    "s3:DeleteObjectVersion",
    READ_VERSION_ACTION,
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
    accesses: dict[str, list[UserAccess]] = {}
    revoked = []
    for access in sorted(users):
        if access.revoked:
            revoked.append(access.user)
        else:
            accesses.setdefault(access.user, []).append(access)
    rights = {user: own[0].rights for user, own in accesses.items()}
    whole = [user for user, own in accesses.items() if any(not each.prefix for each in own)]
    limited = {user: own for user, own in accesses.items() if user not in whole}
    on_bucket, on_objects = f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"
    on_admin_area = f"{on_bucket}/{ADMIN_PREFIX}*"

    def deny_header(sid: str, header: str, denied_users: Iterable[str] = tuple(accesses)) -> Statement:
        denied = make_statement(sid, "Deny", list(denied_users), ["s3:PutObject"], [on_objects])
        return denied | {"Condition": {"StringLike": {f"s3:{header}": ["?*"]}}}

    def deny_publishing(header: str) -> Statement:
        return deny_header("RwmUserPublishDenied" + header.removeprefix("x-amz").title().replace("-", ""), header)

    limited_by_rights = _by_rights(limited, rights, reads=False)
    prefix_actions = partial(_bucket_actions, listed=False)
    statements = [
        make_statement("RwmAdmin", "Allow", [admin], ["s3:*"], [on_bucket, on_objects]),
        *_whole_statements(bucket, whole, rights),
        *_shared_statements("PrefixBucket", "Allow", limited_by_rights, prefix_actions, on_bucket),
        make_statement("RwmPrefixAbsent", "Allow", [*filter(_is_of_rgw, limited)], ["s3:ListBucket"], [on_bucket])
        | {"Condition": {"Null": {"s3:max-keys": ["true"]}}},
    ]
    for number, (user, own) in enumerate(limited.items(), 1):
        prefixes = [each.prefix for each in own]
        statements += _prefix_statements(f"RwmPrefix{number}", user, bucket, prefixes, rights[user])
    readers = _by_rights(accesses, rights, strict=False)
    statements += [
        make_statement("RwmUserBucketDenied", "Deny", [*accesses], DENIED_BUCKET_ACTIONS, [on_bucket]),
        *_shared_statements("UserObjectsDenied", "Deny", readers, _denied_object_actions, on_objects),
        # Users of prefixes are denied everything outside of them.
        make_statement("RwmAdminAreaDenied", "Deny", whole, DENIED_ADMIN_ACTIONS, [on_admin_area]),
        *map(deny_publishing, PUBLISHING_HEADERS),
        deny_header("RwmUserCopyDenied", COPY_HEADER),
        deny_header("RwmUserKmsKeyDenied", KMS_HEADER),
        deny_header("RwmUserSseCDenied", SSE_C_HEADER, (user for user in accesses if not _is_of_rgw(user))),
        # On RGW a writer keeps rights on its objects without any grant.
        make_statement("RwmRevoked", "Deny", revoked, ["s3:*"], [on_bucket, on_objects]),
    ]
    return {"Version": "2012-10-17", "Statement": [each for each in statements if each["Principal"]["AWS"]]}


def _by_rights(
    users: Iterable[str], rights: Mapping[str, Rights], *, strict: bool = True, reads: bool = True
) -> list[tuple[Rights, list[str]]]:
    """The users with the same rights, as far as strictness and reads of versions matter."""
    groups: dict[Rights, list[str]] = {}
    for user in users:
        own = rights[user]
        groups.setdefault(Rights(strict and own.strict, reads and own.version_reads), []).append(user)
    return sorted(groups.items())


def _label(rights: Rights) -> str:
    return "Strict" * bool(rights.strict) + "Reader" * bool(rights.version_reads)


def _bucket_actions(rights: Rights, *, listed: bool = True) -> list[str]:
    actions = USER_BUCKET_ACTIONS if listed else _UNLISTED_BUCKET_ACTIONS
    return [action for action in actions if not (rights.strict and action == DELETE_ACTION)]


def _object_actions(rights: Rights) -> list[str]:
    actions = [action for action in USER_OBJECT_ACTIONS if not (rights.strict and action == DELETE_ACTION)]
    return actions + [READ_VERSION_ACTION] * bool(rights.version_reads)


def _denied_object_actions(rights: Rights) -> list[str]:
    return [action for action in DENIED_OBJECT_ACTIONS if not (rights.version_reads and action == READ_VERSION_ACTION)]


def _whole_statements(bucket: str, whole: Sequence[str], rights: Mapping[str, Rights]) -> list[Statement]:
    """What users of the whole bucket may do, one set of statements for all with the same rights."""
    on_bucket, on_objects = f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"
    groups = _by_rights(whole, rights)
    strict = [user for user in whole if rights[user].strict]
    return [
        *_shared_statements("UserBucket", "Allow", groups, _bucket_actions, on_bucket),
        *_shared_statements("UserObjects", "Allow", groups, _object_actions, on_objects),
        *_lock_statements("RwmStrictUser", strict, on_bucket, [""]),
    ]


def _shared_statements(
    sid: str,
    effect: str,
    groups: Iterable[tuple[Rights, list[str]]],
    actions: Callable[[Rights], list[str]],
    resource: str,
) -> list[Statement]:
    """One statement for all users with the same rights."""
    return [
        make_statement(f"Rwm{_label(rights)}{sid}", effect, users, actions(rights), [resource])
        for rights, users in groups
    ]


def _lock_statements(sid: str, users: list[str], on_bucket: str, prefixes: Iterable[str]) -> list[Statement]:
    """Let users delete only restic's locks, also those of a repository deeper below their prefixes.

    The deny matters where something else allows more, as the identity policy of SeaweedFS does.
    """
    locks = [f"{on_bucket}/{prefix}{pattern}" for prefix in prefixes for pattern in LOCK_PATTERNS]
    denied = make_statement(f"{sid}DeleteDenied", "Deny", users, [DELETE_ACTION], [])
    del denied["Resource"]
    return [
        make_statement(f"{sid}Locks", "Allow", users, [DELETE_ACTION], locks),
        denied | {"NotResource": locks},
    ]


def _is_of_rgw(user: str) -> bool:
    """Whether the principal has the form of RGW: no account, or a tenant.

    RGW gives every listing ``s3:max-keys``, but neither HeadBucket nor the question whether a key is absent (404) or
    must not be seen (403). restic needs both. AWS gives it only to some listings, and must not get this statement.
    """
    return not is_aws_account(principal_account(user))


def _prefix_statements(sid: str, user: str, bucket: str, prefixes: list[str], rights: Rights) -> list[Statement]:
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
        make_statement(f"{sid}Objects", "Allow", [user], _object_actions(rights), on_objects),
        outside,
    ]
    if rights.strict:
        statements += _lock_statements(sid, [user], on_bucket, prefixes)
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
