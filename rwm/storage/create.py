"""Create a protected bucket."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rwm.errors import NotSupported, Refused, RwmError, S3Error, UsageError
from rwm.location import Location
from rwm.phrases import name_some
from rwm.s3 import S3, DefaultRetention
from rwm.storage.accounts import check_accounts
from rwm.storage.bucket_lock import UNSUPPORTED, read_lock, set_default
from rwm.storage.check import check_storage
from rwm.storage.features import CONDITIONS, missing_features
from rwm.storage.policy import protected_policy
from rwm.storage.policy_probe import find_admin_principal, is_probe, obeys_conditions
from rwm.storage.policy_users import policy_users
from rwm.storage.principals import admin_principal, principal_accesses
from rwm.storage.users import NO_RIGHTS, Rights, UserAccess, parse_users


def create_storage(
    s3: S3,
    bucket: str,
    *users: str,
    rights: Rights = NO_RIGHTS,
    lock: DefaultRetention | None = None,
    warn: Callable[[str], None] = lambda text: None,
) -> list[UserAccess]:
    """Create a versioned bucket that users may write to but never remove a version from; returns what each may reach.

    With ``lock`` the bucket has Object Lock, and new versions that retention. ``warn`` gets what the server lacks.
    A user is ``USER`` for the whole bucket, or ``USER:PREFIX``; all have the same rights. Safe to repeat after an
    interruption. Raises UsageError when two users would reach the same objects, Refused when the bucket exists and is
    not empty or has another policy, or the server does not have an account, and RwmError when it does not enforce
    policies. Refused too where the server cannot lock. A new bucket is removed then.
    """
    wanted = parse_users(users)
    is_new = not s3.bucket_exists(bucket)
    if is_new:
        _create_bucket(s3, bucket, lock, warn)
        s3.enable_versioning(bucket)
    else:
        _check_unused(s3, bucket, wanted, rights)
        s3.enable_versioning(bucket)
        if lock:
            set_default(s3, bucket, lock)
    admin = find_admin_principal(s3, bucket)
    obeys = obeys_conditions(s3, bucket, admin, None)
    try:
        accesses = principal_accesses(wanted, admin, rights)
        check_accounts(s3, bucket, [access.user for access in accesses])
    except (UsageError, Refused):
        if is_new:
            _remove_new(s3, bucket, warn)
        raise
    s3.put_policy(bucket, protected_policy(bucket, admin, accesses))
    if drift := check_storage(s3, bucket):
        problems = name_some([item.detail for item in drift], separator="; ")
        raise RwmError(f"bucket {bucket} is not protected: {problems}")
    missing = missing_features(s3, Location(bucket), read_lock(s3, bucket))
    for each in missing if obeys else [*missing, CONDITIONS]:
        warn(each.consequence)
    return accesses


def _create_bucket(s3: S3, bucket: str, lock: DefaultRetention | None, warn: Callable[[str], None]) -> None:
    if lock is None:
        s3.create_bucket(bucket)
        return
    try:
        s3.create_bucket(bucket, object_lock=True)
    except NotSupported as error:
        raise Refused(f"--lock is not possible ({error.message}): {UNSUPPORTED}") from error
    try:
        set_default(s3, bucket, lock)
    except Refused:
        _remove_new(s3, bucket, warn)
        raise


def _remove_new(s3: S3, bucket: str, warn: Callable[[str], None]) -> None:
    """Remove the bucket that this run has made. A failure is a warning, and must not hide why."""
    try:
        s3.delete_bucket(bucket)
    except S3Error as error:
        warn(f"the new bucket {bucket} stays, without protection: {error.message}")


def ensure_storage(s3: S3, bucket: str, *users: str) -> list[UserAccess]:
    """As :func:`create_storage`, but a bucket that is protected for exactly these users may have objects."""
    if s3.bucket_exists(bucket) and (policy := s3.policy(bucket)) and not check_storage(s3, bucket):
        owner, _ = s3.acl(bucket)
        accesses = principal_accesses(parse_users(users), admin_principal(policy, owner), NO_RIGHTS)
        if policy_users(policy, bucket, owner) == accesses:
            return accesses
    return create_storage(s3, bucket, *users)


def _check_unused(s3: S3, bucket: str, wanted: Iterable[tuple[str, str]], rights: Rights) -> None:
    policy = s3.policy(bucket)
    if policy and is_probe(policy, bucket):  # left by an interrupted run
        s3.delete_policy(bucket)
    elif policy and check_storage(s3, bucket):
        raise Refused(
            f"bucket {bucket} exists and has a policy of its own",
            hint=f"`rwm storage check {bucket}` shows how it differs from a protected one",
        )
    elif policy:
        owner, _ = s3.acl(bucket)
        if policy_users(policy, bucket, owner) != principal_accesses(wanted, admin_principal(policy, owner), rights):
            raise Refused(
                f"bucket {bucket} exists and has other users, or the same with other rights",
                hint=f"`rwm storage grant {bucket} USER` adds one, `rwm storage check {bucket}` shows them",
            )
    if next(s3.versions(bucket, page_size=1), None) is not None:
        raise Refused(
            f"bucket {bucket} exists and is not empty: its history could not be trusted",
            hint=f"create a new bucket and copy into it, or delete this one: `rwm storage delete {bucket}`",
        )
