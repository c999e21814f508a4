"""Which machines may write at a location now."""

from __future__ import annotations

from rwm.errors import AccessDenied, NotSupported
from rwm.location import Location
from rwm.s3 import S3
from rwm.storage.frozen import frozen_users
from rwm.storage.policy_users import policy_users
from rwm.storage.users import UserAccess


def active_users(s3: S3, location: Location) -> list[str] | None:
    """The users that the policy lets write at the location and that are not frozen; None if that is not known.

    Without a policy it is not known: the owner's keys may be on a machine.
    """
    try:
        policy, (owner, _) = s3.policy(location.bucket), s3.acl(location.bucket)
    except (AccessDenied, NotSupported):
        return None
    if policy is None:
        return None
    frozen = {each.user for each in frozen_users(policy)}
    meant = UserAccess("", location.prefix)
    users = policy_users(policy, location.bucket, owner)
    return sorted({each.user for each in users if not each.revoked and each.overlaps(meant)} - frozen)
