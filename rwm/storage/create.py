"""Create a protected bucket."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from rwm.errors import AccessDenied, NotSupported, Refused, RwmError
from rwm.location import Location
from rwm.s3 import S3, DefaultRetention, Policy
from rwm.storage.accounts import check_accounts
from rwm.storage.bucket_lock import UNSUPPORTED, read_lock, set_default
from rwm.storage.check import check_storage
from rwm.storage.features import obeys_conditions, warn_of_missing
from rwm.storage.grants import grants, principals, statements
from rwm.storage.policy import conditional_probe, probe_policy, protected_policy
from rwm.storage.policy_users import policy_users
from rwm.storage.policy_write import write_policy
from rwm.storage.principals import admin_principal, candidate_principals, user_principal
from rwm.storage.users import NO_RIGHTS, Rights, UserAccess, grant, parse_user

_PROBE_SECONDS = 1.0
_LAST_PROBE_SECONDS = 5.0
"""How long to wait until a policy takes effect, because servers cache policies; shorter for what STS said, if there is
another candidate."""


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
    policies. Refused too where the server cannot lock; then no bucket is left that was not there before.
    """
    wanted = [(user, prefix or "") for user, prefix in map(parse_user, users)]
    grant_all(wanted, rights)
    if s3.bucket_exists(bucket):
        _check_unused(s3, bucket, wanted, rights)
        s3.enable_versioning(bucket)
        if lock:
            set_default(s3, bucket, lock)
    else:
        _create_bucket(s3, bucket, lock)
        s3.enable_versioning(bucket)
    admin = find_admin_principal(s3, bucket)
    conditions = obeys_conditions(s3, bucket, admin, None)
    accesses = principal_accesses(wanted, admin, rights)
    check_accounts(s3, bucket, [access.user for access in accesses])
    s3.put_policy(bucket, protected_policy(bucket, admin, accesses))
    if drift := check_storage(s3, bucket):
        raise RwmError(f"bucket {bucket} is not protected: {'; '.join(item.detail for item in drift)}")
    warn_of_missing(s3, Location(bucket), read_lock(s3, bucket), conditions=conditions, warn=warn)
    return accesses


def _create_bucket(s3: S3, bucket: str, lock: DefaultRetention | None) -> None:
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
        s3.delete_bucket(bucket)
        raise


def ensure_storage(s3: S3, bucket: str, *users: str) -> list[UserAccess]:
    """As :func:`create_storage`, but a bucket that is protected for exactly these users may have objects."""
    if s3.bucket_exists(bucket) and (policy := s3.policy(bucket)) and not check_storage(s3, bucket):
        wanted = [(user, prefix or "") for user, prefix in map(parse_user, users)]
        owner, _ = s3.acl(bucket)
        accesses = principal_accesses(wanted, admin_principal(policy, owner), NO_RIGHTS)
        if policy_users(policy, bucket, owner) == accesses:
            return accesses
    return create_storage(s3, bucket, *users)


def grant_all(wanted: Iterable[tuple[str, str]], rights: Rights) -> list[UserAccess]:
    """The accesses of (user, prefix) pairs. Raises UsageError when two users would reach the same objects."""
    accesses: list[UserAccess] = []
    for user, prefix in wanted:
        accesses = grant(accesses, user, prefix, rights)
    return accesses


def principal_accesses(wanted: Iterable[tuple[str, str]], admin: str, rights: Rights) -> list[UserAccess]:
    """The accesses of the users' principals. Raises Refused for the admin."""
    return grant_all([(user_principal(admin, user), prefix) for user, prefix in wanted], rights)


def _check_unused(s3: S3, bucket: str, wanted: Iterable[tuple[str, str]], rights: Rights) -> None:
    policy = s3.policy(bucket)
    if policy and _is_probe(policy, bucket):  # left by an interrupted run
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
            hint="create a new bucket and copy into it, or `rwm storage delete` this one",
        )


def remove_probe(s3: S3, bucket: str) -> None:
    """Remove the probe that an interrupted :func:`find_admin_principal` left in the policy, if there is one."""
    policy = s3.policy(bucket)
    rest = [each for each in statements(policy) if not _is_probe({"Statement": [each]}, bucket)]
    if policy and len(rest) < len(statements(policy)):
        write_policy(s3, bucket, {**policy, "Statement": rest} if rest else None)


def _is_probe(policy: Policy, bucket: str) -> bool:
    """Compare grants, because SeaweedFS returns a list of one element as a string."""
    probes = (make(bucket, name) for make in (probe_policy, conditional_probe) for name in principals(policy))
    return any(grants(policy) == grants(probe) for probe in probes)


def find_admin_principal(s3: S3, bucket: str, policy: Policy | None = None) -> str:
    """This account's principal in the form that the server matches: the one for which a probe policy takes effect.

    ``policy`` is what the bucket has: it stays in force meanwhile, and is written back. Raises RwmError when no
    principal matches: the server ignores policies, and nothing would be protected.
    """
    caller = s3.caller_arn()
    candidates = candidate_principals(s3.owner_id(), caller)
    try:
        for candidate in candidates:
            probe = probe_policy(bucket, candidate)
            s3.put_policy(bucket, {**probe, "Statement": statements(policy) + probe["Statement"]})
            is_first_guess = candidate == caller and len(candidates) > 1
            timeout = _PROBE_SECONDS if is_first_guess else _LAST_PROBE_SECONDS
            if _listing_is_denied(s3, bucket, timeout):
                return candidate
    finally:
        write_policy(s3, bucket, policy)
    raise RwmError(
        f"the server does not obey bucket policies: taking a right from {' or '.join(candidates) or 'this account'} "
        f"in bucket {bucket} had no effect",
        hint="RWM needs a server that enforces bucket policies, as Ceph RGW, SeaweedFS and AWS do",
    )


def _listing_is_denied(s3: S3, bucket: str, timeout: float) -> bool:
    """Whether a version listing is denied within ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            next(s3.versions(bucket, page_size=1), None)
        except AccessDenied:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
