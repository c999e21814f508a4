"""Find the users of a policy and what each may reach, also when the policy has drift. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from rwm.errors import UsageError
from rwm.s3 import Policy
from rwm.storage.frozen import without_freeze
from rwm.storage.grants import Grant, grants, principals
from rwm.storage.policy import protected_policy
from rwm.storage.principals import admin_principal, expected_admin
from rwm.storage.users import Rights, UserAccess, parse_granted_prefix

_RIGHTS = [Rights(strict, version_reads) for strict in (False, True) for version_reads in (False, True)]


def policy_users(policy: Policy | None, bucket: str, owner_id: str) -> list[UserAccess]:
    """The users whose grants in the policy are closest to those of a protected bucket, sorted.

    The denies of a freeze do not count. A principal with other grants is no user: its grants are drift. At least the
    principal with the most grants is one.
    """
    policy = without_freeze(policy)
    if policy is None:
        return []
    admin = admin_principal(policy, owner_id) or expected_admin(policy, owner_id)
    granted: dict[str, set[Grant]] = {
        who: set() for who in sorted(principals(policy) - {admin}, reverse=True) if who.startswith("arn:")
    }
    for grant in grants(policy):
        if grant.principal in granted:
            granted[grant.principal].add(grant)
    found = [access for user, own in granted.items() for access in _closest(user, own, bucket, may_be_none=True)]
    if not found and granted:
        user, own = max(granted.items(), key=lambda item: len(item[1]))
        found = _closest(user, own, bucket, may_be_none=False)
    return sorted(found)


def _closest(user: str, own: set[Grant], bucket: str, *, may_be_none: bool) -> list[UserAccess]:
    """The accesses of one user whose grants differ least from its ``own``; the empty list if nothing is closer."""

    def difference(accesses: list[UserAccess]) -> int:
        expected = grants(protected_policy(bucket, "", accesses))
        return len({grant for grant in expected if grant.principal == user} ^ own)

    places = [*_likely_prefixes(own, bucket), [""]]
    candidates = [rights.on(user, prefixes) for prefixes in places for rights in _RIGHTS]
    if any((grant.effect, grant.action) == ("Deny", "s3:*") for grant in own):
        candidates.append([UserAccess(user, revoked=True)])
    if may_be_none:
        candidates.append([])
    return min(candidates, key=difference)  # the first of equal ones: a prefix is likelier than the whole bucket


def _likely_prefixes(own: Iterable[Grant], bucket: str) -> list[list[str]]:
    """Sets of prefixes: those that are named by at least one, two, ... Allow grants of objects."""
    start = f"arn:aws:s3:::{bucket}/"
    named: Counter[str] = Counter()
    for grant in own:
        if grant.effect == "Allow" and grant.resource.startswith(start) and grant.resource.endswith("/*"):
            named[grant.resource[len(start) : -1]] += 1
    valid = [prefix for prefix in sorted(named) if _is_grantable(prefix)]
    return [
        [prefix for prefix in valid if named[prefix] >= least] for least in sorted({named[prefix] for prefix in valid})
    ]


def _is_grantable(prefix: str) -> bool:
    try:
        return parse_granted_prefix(prefix) == prefix
    except UsageError:
        return False
