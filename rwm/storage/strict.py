"""Whether the machines of a location are strict: they may delete only restic's locks."""

from __future__ import annotations

from rwm.errors import AccessDenied, NotSupported
from rwm.location import Location
from rwm.s3 import S3
from rwm.storage.policy_users import policy_users
from rwm.storage.users import UserAccess


def is_strict(s3: S3, location: Location) -> bool:
    """Whether every user that reaches a part of the location may delete only restic's locks there.

    Such a machine cannot run ``restic forget`` or ``prune``: its admin does. False if no user reaches the location, or
    if this account may not read the policy. Works with the keys of the machine too.
    """
    try:
        policy, (owner, _) = s3.policy(location.bucket), s3.acl(location.bucket)
    except (AccessDenied, NotSupported):
        return False
    meant = UserAccess("", location.prefix)
    reaching = [access for access in policy_users(policy, location.bucket, owner) if access.overlaps(meant)]
    return bool(reaching) and all(access.strict for access in reaching)
