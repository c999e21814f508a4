"""Principals of a policy: their ARNs, their ids in ACLs, and the forms that servers accept. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rwm.errors import Refused, UsageError
from rwm.s3 import Policy
from rwm.storage.grants import NOBODY, grants, principals
from rwm.storage.users import Rights, UserAccess, grant_all

_AWS_ACCOUNT = re.compile("[0-9]{12}")
SEAWEEDFS_ACCOUNT = "000000000000"
"""The account of all users of SeaweedFS."""
_CANONICAL_ID = re.compile("[0-9a-f]{64}")
_SINGLE = re.compile("arn:[a-z-]+:(iam|sts)::[^:]*:(user|role|assumed-role)/.+")
_NOT_LITERAL = '*?$"\\'
"""Characters that a policy may take for a pattern or a variable."""


def acl_id(principal: str) -> str:
    """The id of the principal in ACLs of RGW and SeaweedFS: ``user1``, or ``t1$user1`` with a tenant."""
    name = principal.rpartition(":")[2].rpartition("/")[2]
    tenant = principal_account(principal)
    return f"{tenant}${name}" if tenant and not is_aws_account(tenant) else name


def principal_account(principal: str) -> str:
    """The account in an ARN: a tenant or nothing on RGW, twelve digits on AWS and SeaweedFS."""
    parts = principal.split(":")
    return parts[4] if len(parts) > 5 else ""


def is_aws_account(account: str) -> bool:
    """Whether an account has the form of AWS, which SeaweedFS uses too."""
    return _AWS_ACCOUNT.fullmatch(account) is not None


def candidate_principals(owner_id: str, caller_arn: str | None) -> list[str]:
    """Principals that may name the account that owns the bucket on this server, the likeliest first.

    ``owner_id`` comes from ListBuckets: ``admin``, ``t1$admin`` with a tenant, a canonical id on AWS. ``caller_arn``
    comes from STS, where the server has it: not on Ceph RGW, nor on SeaweedFS as ``weed server`` starts it. Servers
    accept an unknown principal without an error and then match nobody, so the candidates have to be tried
    (:func:`rwm.storage.policy_probe.probe_policy`).
    """
    candidates = [caller_arn] if caller_arn else []
    tenant, dollar, name = owner_id.rpartition("$")
    if owner_id:
        candidates.append(f"arn:aws:iam::{tenant if dollar else ''}:user/{name}")
        if not dollar and not caller_arn:  # SeaweedFS without STS
            candidates.append(f"arn:aws:iam::{SEAWEEDFS_ACCOUNT}:user/{name}")
    return candidates


def user_principal(admin: str, user: str) -> str:
    """The principal of ``user`` in the form of the principal ``admin``. A full ARN is returned unchanged.

    ``t1$user1`` names a user and its tenant. Raises UsageError when that is not the admin's tenant: S3 clients reach
    only buckets of their own tenant, and Refused for the admin itself.

    Raises UsageError too for what may name more than one account: a deny of it could shut the admin out for good.
    """
    principal = user if user.startswith("arn:") else _principal_of_name(admin, user)
    _check_single(user, principal)
    if principal == admin:
        raise Refused(f"{user} is the admin account itself", hint="name the account of the machine that backs up")
    return principal


def principal_accesses(wanted: Iterable[tuple[str, str]], admin: str, rights: Rights) -> list[UserAccess]:
    """The accesses of the principals of (user, prefix) pairs. Raises Refused for the admin."""
    return grant_all([(user_principal(admin, user), prefix) for user, prefix in wanted], rights)


def _check_single(user: str, principal: str) -> None:
    bad = next((char for char in principal if char in _NOT_LITERAL or not char.isprintable()), None)
    if bad is not None:
        raise UsageError(f"{user!r} is no user: it has the character {bad!r}", hint="name one account, as user1")
    if not _SINGLE.fullmatch(principal):
        raise UsageError(f"{user!r} names no single user or role", hint="name one account, as user1 or its whole ARN")


def _principal_of_name(admin: str, user: str) -> str:
    tenant, dollar, name = user.rpartition("$")
    account = principal_account(admin)
    if dollar and tenant != account:
        raise UsageError(
            f"{user} is not of the tenant that the bucket would be in ({account or 'none'})",
            hint="use an admin account of the same tenant",
        )
    return f"arn:aws:iam::{account}:user/{name}"


def admin_principal(policy: Policy, owner_id: str) -> str:
    """The admin in a policy: the principal of the bucket's owner, an empty string when the policy does not name it.

    Where the owner's id cannot be compared with principals (a canonical id, as on AWS, or an empty id), it is the
    principal that is allowed every action.
    """
    named = sorted(who for who in principals(policy) if who.startswith("arn:"))
    candidates = candidate_principals(owner_id, None)
    owner = [who for who in named if who in candidates or (":user/" in who and acl_id(who) == owner_id)]
    if not owner and (not owner_id or _CANONICAL_ID.fullmatch(owner_id)):
        allowed_all = {grant.principal for grant in grants(policy) if (grant.effect, grant.action) == ("Allow", "s3:*")}
        owner = [who for who in named if who in allowed_all]
    return next(iter(owner), "")


def expected_admin(policy: Policy, owner_id: str) -> str:
    """The principal that a policy without its admin should name, in the form of the server, for messages."""
    if not owner_id or _CANONICAL_ID.fullmatch(owner_id):
        return "the bucket's owner"
    accounts = [principal_account(who) for who in sorted(principals(policy)) if who.startswith("arn:aws:iam:")]
    candidate = candidate_principals(owner_id, None)[0]
    if "$" not in owner_id and accounts and is_aws_account(accounts[0]):
        return f"arn:aws:iam::{accounts[0]}:user/{owner_id}"
    return candidate


def user_ids(policy: Policy | None, owner_id: str) -> set[str]:
    """Ids, as in ACLs, of the accounts other than the admin that the policy names."""
    admin = admin_principal(policy or {}, owner_id)
    return {acl_id(principal) for principal in principals(policy or {}) - {admin, NOBODY}}
