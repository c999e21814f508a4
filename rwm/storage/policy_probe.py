"""Probe policies: whether the server obeys policies and their conditions, and by which name it knows this account.

A probe denies a listing to this account for a moment, beside the policy in force. No object is written.
"""

from __future__ import annotations

from rwm.errors import AccessDenied, RwmError
from rwm.layout import OWN_PREFIX
from rwm.s3 import S3, Policy
from rwm.storage.grants import grants, principals, statements
from rwm.storage.policy_write import takes_effect, write_policy
from rwm.storage.principals import candidate_principals

PROBED_PREFIX = OWN_PREFIX + "probe/"
"""Where a conditional probe denies a listing."""
_OTHER_PREFIX = OWN_PREFIX + "unprobed/"

_GUESS_SECONDS = 1.0
_EFFECT_SECONDS = 5.0
"""How long to wait until a policy takes effect, because servers cache policies; shorter for what STS said, if there is
another candidate."""


def probe_policy(bucket: str, principal: str) -> Policy:
    """A policy that denies ``principal`` one harmless action: if it takes effect, the server knows that principal."""
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


def conditional_probe(bucket: str, principal: str) -> Policy:
    """A policy that denies ``principal`` to list versions below :data:`PROBED_PREFIX`, if conditions are obeyed."""
    probe = probe_policy(bucket, principal)
    (denied,) = probe["Statement"]
    return {**probe, "Statement": [denied | {"Condition": {"StringLike": {"s3:prefix": [f"{PROBED_PREFIX}*"]}}}]}


def is_probe(policy: Policy, bucket: str) -> bool:
    """Whether a policy is a probe and nothing else; by grants, because servers write lists in other forms."""
    probes = (make(bucket, name) for make in (probe_policy, conditional_probe) for name in principals(policy))
    return any(grants(policy) == grants(probe) for probe in probes)


def find_admin_principal(s3: S3, bucket: str, policy: Policy | None = None) -> str:
    """This account's principal in the form that the server matches: the one for which a probe takes effect.

    ``policy`` is what the bucket has: it stays in force meanwhile, and is written back. Raises RwmError when no
    principal matches: the server ignores policies, and nothing would be protected.
    """
    caller = s3.caller_arn()
    candidates = candidate_principals(s3.owner_id(), caller)
    try:
        for candidate in candidates:
            _put_beside(s3, bucket, policy, probe_policy(bucket, candidate))
            is_first_guess = candidate == caller and len(candidates) > 1
            if takes_effect(lambda: _is_denied(s3, bucket), _GUESS_SECONDS if is_first_guess else _EFFECT_SECONDS):
                return candidate
    finally:
        write_policy(s3, bucket, policy)
    raise RwmError(
        f"the server does not obey bucket policies: taking a right from {' or '.join(candidates) or 'this account'} "
        f"in bucket {bucket} had no effect",
        hint="RWM needs a server that enforces bucket policies, as Ceph RGW, SeaweedFS and AWS do",
    )


def obeys_conditions(s3: S3, bucket: str, principal: str, policy: Policy | None) -> bool:
    """Whether the server obeys a condition. ``policy`` stays in force meanwhile, and is written back."""
    _put_beside(s3, bucket, policy, conditional_probe(bucket, principal))
    try:
        return takes_effect(
            lambda: _is_denied(s3, bucket, PROBED_PREFIX) and not _is_denied(s3, bucket, _OTHER_PREFIX), _EFFECT_SECONDS
        )
    finally:
        write_policy(s3, bucket, policy)


def remove_probe(s3: S3, bucket: str) -> None:
    """Remove the probe that an interrupted run left in the policy, if there is one."""
    policy = s3.policy(bucket)
    rest = [each for each in statements(policy) if not is_probe({"Statement": [each]}, bucket)]
    if policy and len(rest) < len(statements(policy)):
        write_policy(s3, bucket, {**policy, "Statement": rest} if rest else None)


def _put_beside(s3: S3, bucket: str, policy: Policy | None, probe: Policy) -> None:
    s3.put_policy(bucket, {**probe, "Statement": statements(policy) + probe["Statement"]})


def _is_denied(s3: S3, bucket: str, prefix: str = "") -> bool:
    """Whether this account may not list versions below the prefix."""
    try:
        next(s3.versions(bucket, prefix, page_size=1), None)
    except AccessDenied:
        return True
    return False
