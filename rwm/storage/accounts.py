"""Whether the accounts that a policy names exist: servers take any name in silence, and then match nobody."""

from __future__ import annotations

from collections.abc import Iterable

from rwm.errors import AccessDenied, NotSupported, Refused
from rwm.layout import OWN_PREFIX
from rwm.s3 import S3
from rwm.storage.principals import acl_id, is_aws_account, principal_account

_KEY = OWN_PREFIX + "probe/account"
"""The key of an upload that is never completed."""


def check_accounts(s3: S3, bucket: str, users: Iterable[str]) -> None:
    """Raise Refused for a user that the server does not have, where it tells: Ceph RGW does.

    AWS refuses a policy with an unknown user itself. SeaweedFS does not tell. ``users`` are principals.
    """
    for user in sorted(set(users)):
        if is_aws_account(principal_account(user)):
            continue
        try:
            known = s3.knows_grantee(bucket, _KEY, acl_id(user))
        except (AccessDenied, NotSupported):  # nothing is known about the account then
            return
        if not known:
            raise Refused(
                f"the server has no account {acl_id(user)}",
                hint="on Ceph, `radosgw-admin user list` shows the accounts, and `user create` makes one",
            )
