"""What a bucket's policy should say, what it says, and the difference. Pure.

The machine's account gets an allow-list and, on top, explicit denies: on Ceph RGW an object belongs to its writer, who
may do more to it than any grant says. The admin is named too, or RGW would refuse it what the machine wrote.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from rwm.errors import UsageError
from rwm.s3 import Policy

"""A bucket policy document as JSON holds it."""

_AWS_ACCOUNT = re.compile("[0-9]{12}")
_CANONICAL = re.compile("[0-9a-f]{64}")

USER_BUCKET_ACTIONS = (
    "s3:GetBucketLocation",
    "s3:ListBucket",
    "s3:ListBucketVersions",
    "s3:ListBucketMultipartUploads",
    # What `storage check` looks at, so that the machine notices drift too.
    "s3:GetBucketAcl",
    "s3:GetBucketObjectLockConfiguration",
    "s3:GetBucketPolicy",
    "s3:GetBucketVersioning",
    "s3:GetLifecycleConfiguration",
    # RGW asks for it on the bucket as well before it looks at a DeleteObjects request.
    "s3:DeleteObject",
)
USER_OBJECT_ACTIONS = (
    "s3:AbortMultipartUpload",
    "s3:DeleteObject",
    "s3:GetObject",
    "s3:ListMultipartUploadParts",
    "s3:PutObject",
)
# Only actions that Ceph RGW 16 knows: it refuses a policy with any other one as a whole (PutEncryptionConfiguration).
# What is not listed here is not allowed above either.
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
DENIED_OBJECT_ACTIONS = (
    "s3:BypassGovernanceRetention",
    "s3:DeleteObjectVersion",
    "s3:GetObjectVersion",  # what was pruned long ago is not for whoever steals these keys; recovery is the admin's
    "s3:PutObjectAcl",
    "s3:PutObjectLegalHold",
    "s3:PutObjectRetention",
    "s3:PutObjectTagging",
    "s3:PutObjectVersionAcl",
    "s3:PutObjectVersionTagging",
)
# Headers by which a PUT may publish what it writes. One statement each, because all conditions of one must hold.
PUBLISHING_HEADERS = (
    "x-amz-acl",
    "x-amz-grant-read",
    "x-amz-grant-write",
    "x-amz-grant-read-acp",
    "x-amz-grant-write-acp",
    "x-amz-grant-full-control",
)


def desired(bucket: str, admin: str, user: str) -> Policy:
    """The policy of a protected bucket. ``admin`` and ``user`` are principal ARNs in the server's own form."""
    on_bucket, on_objects = f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"

    def statement(sid: str, effect: str, who: str, actions: Iterable[str], resource: list[str]) -> dict[str, Any]:
        return {
            "Sid": sid,
            "Effect": effect,
            "Principal": {"AWS": [who]},
            "Action": list(actions),
            "Resource": resource,
        }

    def publishing(header: str) -> dict[str, Any]:
        sid = "RwmUserPublishDenied" + header.removeprefix("x-amz").title().replace("-", "")
        denied = statement(sid, "Deny", user, ["s3:PutObject"], [on_objects])
        return denied | {"Condition": {"StringLike": {f"s3:{header}": ["?*"]}}}

    return {
        "Version": "2012-10-17",
        "Statement": [
            statement("RwmAdmin", "Allow", admin, ["s3:*"], [on_bucket, on_objects]),
            statement("RwmUserBucket", "Allow", user, USER_BUCKET_ACTIONS, [on_bucket]),
            statement("RwmUserObjects", "Allow", user, USER_OBJECT_ACTIONS, [on_objects]),
            statement("RwmUserBucketDenied", "Deny", user, DENIED_BUCKET_ACTIONS, [on_bucket]),
            statement("RwmUserObjectsDenied", "Deny", user, DENIED_OBJECT_ACTIONS, [on_objects]),
            *map(publishing, PUBLISHING_HEADERS),
        ],
    }


NOBODY = "(nobody)"


class Grant(NamedTuple):
    """One atom of a policy: a statement says the product of its lists. Sids mean nothing and are left out.

    Unusual forms keep their name in the value: ``NotPrincipal:…``, ``NotAction:…``, ``NotResource:…``.
    """

    effect: str
    principal: str
    action: str
    resource: str
    condition: str

    def __str__(self) -> str:
        text = f"{self.effect} {self.action} on {self.resource} to {self.principal}"
        return text + (f" if {self.condition}" if self.condition else "")


def grants(policy: Policy) -> set[Grant]:
    """Every atom of a policy, whatever shape its statements have: strings or lists, ``*``, the ``Not…`` forms."""
    return {
        Grant(str(statement.get("Effect", "?")), principal, action, resource, _condition(statement))
        for statement in _statements(policy)
        for principal in _principals(statement)
        for action in _values(statement, "Action", lower=True)
        for resource in _values(statement, "Resource")
    }


def principals(policy: Policy) -> set[str]:
    """Everybody whom the policy names."""
    return {principal for statement in _statements(policy) for principal in _principals(statement)}


def users_of(policy: Policy | None, owner_id: str) -> set[str]:
    """Ids of the accounts other than the admin whom the policy names, as an ACL shows them."""
    admin = admin_principal(policy or {}, owner_id)
    return {user_id(who) for who in principals(policy or {}) - {admin, NOBODY}}


def _statements(policy: Policy) -> list[dict[str, Any]]:
    statements = policy.get("Statement", [])
    found = statements if isinstance(statements, list) else [statements]
    return [item if isinstance(item, dict) else {"Effect": f"? {item!r}"} for item in found]


def _listed(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


def _values(statement: dict[str, Any], name: str, *, lower: bool = False) -> list[str]:
    """The strings under ``name`` or ``Not<name>``. Action names are case-insensitive."""
    found = _listed(statement[name]) if name in statement else []
    if f"Not{name}" in statement:
        found += [f"Not{name}:{value}" for value in _listed(statement[f"Not{name}"])]
    return [value.lower() if lower else value for value in found] or [f"(no {name})"]


def _principals(statement: dict[str, Any]) -> list[str]:
    found = []
    for name, mark in (("Principal", ""), ("NotPrincipal", "NotPrincipal:")):
        value = statement.get(name)
        if isinstance(value, dict):
            for kind, who in value.items():
                found += [mark + (one if kind == "AWS" else f"{kind}:{one}") for one in _listed(who)]
        elif value is not None:
            found += [mark + one for one in _listed(value)]
    return found or [NOBODY]


def _condition(statement: dict[str, Any]) -> str:
    """Canonical text of a condition: single values as lists, sorted."""
    condition = statement.get("Condition")
    if not condition:
        return ""
    if isinstance(condition, dict):
        condition = {
            operator: {key: sorted(_listed(value)) for key, value in test.items()} if isinstance(test, dict) else test
            for operator, test in condition.items()
        }
    return json.dumps(condition, sort_keys=True)


class Drift(NamedTuple):
    """One way in which a bucket is not as it should be. ``code`` is for scripts, ``detail`` for people."""

    code: str
    detail: str


def policy_drift(actual: Policy | None, bucket: str, owner_id: str) -> list[Drift]:
    """How the policy differs from :func:`desired`, for whichever one user it names beside the admin."""
    if actual is None:
        return [Drift("policy-missing", "the bucket has no policy: its user has no protected access")]
    found = []
    if not owner_id:
        found.append(Drift("ownership", "whose the bucket is cannot be told, so nor can who may do everything with it"))
    admin = admin_principal(actual, owner_id) or _unnamed_admin(actual, owner_id)
    have = grants(actual)
    users = sorted(who for who in principals(actual) - {admin} if who.startswith("arn:"))
    if not users:
        extra = have - {grant for grant in have if grant.principal == admin}
        nobody = Drift("policy-no-user", "the policy names no user account beside the admin")
        return [*found, nobody, *_summed("policy-extra-statement", "not intended", extra)]
    want = grants(desired(bucket, admin, _intended_user(have, users)))
    found += _summed("policy-missing-statement", "missing", want - have)
    return found + _summed("policy-extra-statement", "not intended", have - want)


def _intended_user(have: set[Grant], users: list[str]) -> str:
    """The one whom most of the policy is about; anybody else's grants are drift."""
    named = [grant.principal for grant in have]
    return max(users, key=lambda user: (named.count(user), user))


def _summed(code: str, word: str, found: set[Grant]) -> list[Drift]:
    """One line for all actions that share effect, principal, resource and condition."""
    groups: dict[tuple[str, str, str, str], list[str]] = {}
    for grant in sorted(found):
        groups.setdefault((grant.effect, grant.principal, grant.resource, grant.condition), []).append(grant.action)
    return [
        Drift(code, f"{word}: {Grant(effect, principal, ', '.join(actions), resource, condition)}")
        for (effect, principal, resource, condition), actions in groups.items()
    ]


def settings_drift(
    *,
    versioning: str,
    owner: str,
    user_ids: Iterable[str],
    bucket_grants: Iterable[tuple[str, str]],
    lifecycle: Iterable[dict[str, Any]],
) -> list[Drift]:
    """Drift of everything but the policy.

    ``owner`` and the grantees are ids as the bucket's ACL shows them; ``user_ids`` are the ids of the policy's users.
    """
    found = []
    if versioning != "Enabled":
        found.append(Drift("versioning", f"versioning is {versioning or 'off'}: overwritten objects are lost"))
    if owner in set(user_ids):
        found.append(Drift("ownership", f"the bucket belongs to its user {owner}, who can undo every protection"))
    for grantee, permission in bucket_grants:
        if grantee != owner:
            found.append(Drift("acl", f"the bucket's ACL grants {permission} to {grantee}"))
    for rule in lifecycle:
        name = rule.get("ID") or "without a name"
        if rule.get("Status", "Enabled") == "Enabled":
            found.append(Drift("lifecycle", f"the lifecycle rule {name!r} may delete versions that a state needs"))
    return found


def user_id(principal: str) -> str:
    """The id by which RGW and SeaweedFS show the principal in an ACL: ``user1``, with a tenant ``t1$user1``."""
    parts = principal.split(":")
    name = parts[-1].rpartition("/")[2]
    tenant = parts[4] if len(parts) > 5 else ""
    return f"{tenant}${name}" if tenant and not _AWS_ACCOUNT.fullmatch(tenant) else name


def principal_forms(owner_id: str, caller_arn: str | None) -> list[str]:
    """The forms in which this server may want to see the account that owns the bucket, the likeliest first.

    ``owner_id`` is what ListBuckets calls the account: ``admin``, with a tenant ``t1$admin``, on AWS a canonical id.
    ``caller_arn`` is what STS calls it, where the server has STS. Every server accepts a wrong form in silence and
    then matches nobody, so the right one has to be tried (:func:`form_probe`).
    """
    forms = [caller_arn] if caller_arn else []
    tenant, dollar, name = owner_id.rpartition("$")
    if owner_id:
        forms.append(f"arn:aws:iam::{tenant if dollar else ''}:user/{name}")
    return forms


def user_principal(admin: str, user: str) -> str:
    """The principal of ``user`` in the form that works for ``admin``. A full ARN is taken as it is.

    ``t1$user1`` names a user with its tenant, which must be the admin's: no S3 client reaches a bucket of another.
    Raises UsageError.
    """
    if user.startswith("arn:"):
        return user
    tenant, dollar, name = user.rpartition("$")
    account = admin.split(":")[4]
    if dollar and tenant != account:
        raise UsageError(
            f"{user} is not of the tenant that the bucket would be in ({account or 'none'})",
            hint="use an admin account of the same tenant",
        )
    return f"arn:aws:iam::{account}:user/{name}"


def admin_principal(policy: Policy, owner_id: str) -> str:
    """Who the policy's admin is: the bucket's owner, an empty string when the policy does not name it.

    Where the owner's id cannot be compared with principals (a canonical id, as on AWS, or none at all), it is whoever
    may do everything.
    """
    named = sorted(who for who in principals(policy) if who.startswith("arn:"))
    forms = principal_forms(owner_id, None)
    owner = [who for who in named if who in forms or (":user/" in who and user_id(who) == owner_id)]
    if not owner and (not owner_id or _CANONICAL.fullmatch(owner_id)):
        mighty = {grant.principal for grant in grants(policy) if (grant.effect, grant.action) == ("Allow", "s3:*")}
        owner = [who for who in named if who in mighty]
    return next(iter(owner), "")


def _unnamed_admin(policy: Policy, owner_id: str) -> str:
    """The admin that a policy ought to name, as this server would have it, for people to read."""
    if not owner_id or _CANONICAL.fullmatch(owner_id):
        return "the bucket's owner"
    accounts = [who.split(":")[4] for who in sorted(principals(policy)) if who.startswith("arn:aws:iam:")]
    (form,) = principal_forms(owner_id, None)
    if "$" not in owner_id and accounts and _AWS_ACCOUNT.fullmatch(accounts[0]):
        return f"arn:aws:iam::{accounts[0]}:user/{owner_id}"
    return form


def form_probe(bucket: str, principal: str) -> Policy:
    """A policy that takes one harmless right from ``principal``: if that works, the server knows the form."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Deny",
                "Principal": {"AWS": [principal]},
                "Action": ["s3:ListBucketVersions"],
                "Resource": [f"arn:aws:s3:::{bucket}"],
            }
        ],
    }
