"""Which users reach a location, by the policy in force."""

from __future__ import annotations

from rwm.errors import AccessDenied, NotSupported
from rwm.location import Location
from rwm.s3 import S3, Policy
from rwm.storage.frozen import frozen_users
from rwm.storage.policy_users import policy_users
from rwm.storage.users import UserAccess


def granted_prefixes(s3: S3, bucket: str) -> list[str]:
    """The prefixes that the bucket's policy grants to users; empty if this account may not read the policy."""
    _, users = _read(s3, bucket)
    return sorted({access.prefix for access in users if access.prefix})


def active_users(s3: S3, location: Location) -> list[str] | None:
    """The users that the policy lets write at the location and that are not frozen; None if that is not known.

    Without a policy it is not known: the owner's keys may be on a machine.
    """
    policy, users = _read(s3, location.bucket)
    if policy is None:
        return None
    frozen = {each.user for each in frozen_users(policy)}
    return sorted({each.user for each in users if each.reaches(location.prefix)} - frozen)


def is_strict(s3: S3, location: Location) -> bool:
    """Whether every user that reaches a part of the location may delete only restic's locks there.

    Such a machine cannot run ``restic forget`` or ``prune``: its admin does. False if no user reaches the location, or
    if this account may not read the policy. Works with the keys of the machine too.
    """
    _, users = _read(s3, location.bucket)
    reaching = [access for access in users if access.reaches(location.prefix)]
    return bool(reaching) and all(access.strict for access in reaching)


def _read(s3: S3, bucket: str) -> tuple[Policy | None, list[UserAccess]]:
    """The policy and its users; None and none where there is no policy, or this account may not read it."""
    try:
        policy, (owner, _) = s3.policy(bucket), s3.acl(bucket)
    except (AccessDenied, NotSupported):
        return None, []
    return policy, policy_users(policy, bucket, owner)
