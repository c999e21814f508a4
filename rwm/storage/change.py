"""Change who may reach what in a protected bucket: read its policy, change one user, write it, and verify it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from rwm.errors import Refused
from rwm.location import Location
from rwm.repositories import inside_repository
from rwm.s3 import S3, Policy
from rwm.s3.listing import enclosing_repository
from rwm.storage.accounts import check_accounts
from rwm.storage.drift import policy_drift
from rwm.storage.grants import grants, statements
from rwm.storage.policy import Statement, protected_policy
from rwm.storage.policy_users import policy_users
from rwm.storage.policy_write import replace_policy
from rwm.storage.principals import admin_principal, user_principal
from rwm.storage.users import NO_RIGHTS, Rights, UserAccess, grant, revoke


class PolicyChange(NamedTuple):
    """What a command changes in a policy: users before and after, statements that go and come."""

    before: list[UserAccess]
    after: list[UserAccess]
    removed: list[Statement]
    added: list[Statement]

    def __bool__(self) -> bool:
        return bool(self.removed or self.added)


def grant_access(
    s3: S3, location: Location, user: str, *, rights: Rights = NO_RIGHTS, dry_run: bool = False
) -> PolicyChange:
    """Let ``user`` reach the location too: a prefix, or the whole bucket. Safe to repeat.

    ``rights`` are then those of all that the user reaches; None leaves a right as it is.

    Raises UsageError if another user reaches a part of it, or it is inside a repository; Refused for an account
    that the server does not have; Refused and RwmError as :func:`revoke_access`.
    """
    if repository := enclosing_repository(s3, location):
        raise inside_repository(location, repository, f"grant all of it: {repository}")

    def decide(users: list[UserAccess], principal: str) -> list[UserAccess]:
        check_accounts(s3, location.bucket, [principal])
        return grant(users, principal, location.prefix, rights)

    return _change(s3, location.bucket, user, decide, dry_run)


def revoke_access(s3: S3, bucket: str, user: str, prefix: str | None = None, *, dry_run: bool = False) -> PolicyChange:
    """Take one prefix, or everything, from ``user``. Safe to repeat.

    Raises NotFound for a user that the policy does not name, Refused if the policy has drift or changes meanwhile, and
    RwmError if the server does not return the new policy afterwards.
    """
    return _change(s3, bucket, user, lambda users, who: revoke(users, who, prefix), dry_run)


def _change(
    s3: S3, bucket: str, user: str, decide: Callable[[list[UserAccess], str], list[UserAccess]], dry_run: bool
) -> PolicyChange:
    owner, _ = s3.acl(bucket)
    policy = s3.policy(bucket)
    _check_drift(policy, bucket, owner)
    assert policy is not None
    admin = admin_principal(policy, owner)
    before = policy_users(policy, bucket, owner)
    principal = user if user in {access.user for access in before} else user_principal(admin, user)
    after = decide(before, principal)
    new = protected_policy(bucket, admin, after)
    change = PolicyChange(before, after, *differing_statements(policy, new))
    if change and not dry_run:
        replace_policy(s3, bucket, policy, new)
    return change


def _check_drift(policy: Policy | None, bucket: str, owner: str) -> None:
    """Refuse a policy with drift, because the change would remove it. An overlap may be revoked."""
    if drift := [item for item in policy_drift(policy, bucket, owner) if item.code != "policy-overlap"]:
        more = f", and {len(drift) - 1} more" if len(drift) > 1 else ""
        raise Refused(
            f"the policy of bucket {bucket} is not that of a protected bucket ({drift[0].detail}{more})",
            hint=f"`rwm storage check {bucket}` lists all differences, and with --fix removes them",
        )


def differing_statements(old: Policy, new: Policy) -> tuple[list[Statement], list[Statement]]:
    """The statements that only the old policy has, and those that only the new one has, whatever their form."""
    return _missing(old, new), _missing(new, old)


def _missing(policy: Policy, other: Policy) -> list[Statement]:
    """The statements of a policy that the other one does not have, whatever their form."""
    known = {frozenset(grants({"Statement": [statement]})) for statement in statements(other)}
    return [each for each in statements(policy) if frozenset(grants({"Statement": [each]})) not in known]
