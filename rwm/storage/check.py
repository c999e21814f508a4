"""Check that a bucket still is a protected one, and who may reach what in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from rwm.errors import AccessDenied, NotSupported
from rwm.location import Location
from rwm.s3 import S3
from rwm.storage.drift import Drift, policy_drift, settings_drift
from rwm.storage.policy_users import policy_users
from rwm.storage.principals import user_ids
from rwm.storage.users import UserAccess

WRONG_KEYS = ("InvalidAccessKeyId", "SignatureDoesNotMatch")
"""S3 error codes for an unknown access key and for a secret key that does not fit it."""


class Inspection(NamedTuple):
    """What the settings of a bucket say: how they differ from those of a protected bucket, and who may reach what."""

    drift: list[Drift]
    users: list[UserAccess]


def check_storage(s3: S3, bucket: str) -> list[Drift]:
    """Every difference from a protected bucket; empty when there is none. Errors as :func:`inspect_storage`."""
    return inspect_storage(s3, Location(bucket)).drift


def inspect_storage(s3: S3, location: Location) -> Inspection:
    """Every difference from a protected bucket, and its users. At a prefix, drift too if no user reaches all of it.

    A setting that this account may not read, or that the server does not have, is drift too. Raises NotFound for an
    unknown bucket, and AccessDenied for keys that the server does not accept at all.
    """
    settings, found = _read_settings(s3, location.bucket)
    owner, acl_grants = settings.get("acl", ("", []))
    policy = settings.get("policy")
    users = policy_users(policy, location.bucket, owner)
    if "policy" in settings:
        found += policy_drift(policy, location.bucket, owner)
        if location.prefix and not any(access.covers(location.prefix) for access in users):
            found.append(Drift("location-no-user", f"no user may write to all of {location}"))
    found += settings_drift(
        versioning=settings.get("versioning", "Enabled"),
        owner=owner,
        user_ids=user_ids(policy, owner),
        bucket_grants=acl_grants,
        lifecycle=settings.get("lifecycle", []),
    )
    return Inspection(found, users)


def _read_settings(s3: S3, bucket: str) -> tuple[dict[str, Any], list[Drift]]:
    """The settings that can be read, and drift for the others: one for all that are denied for the same reason."""
    readers: dict[str, Callable[[str], Any]] = {
        "versioning": s3.versioning,
        "acl": s3.acl,
        "policy": s3.policy,
        "lifecycle": s3.lifecycle_rules,
    }
    settings: dict[str, Any] = {}
    unread: list[Drift] = []
    denied: dict[str, list[str]] = {}
    for name, read in readers.items():
        try:
            settings[name] = read(bucket)
        except NotSupported as error:
            unread.append(Drift("unsupported", f"{error.hint} ({error.message})"))
        except AccessDenied as error:
            if error.code in WRONG_KEYS:
                raise
            denied.setdefault(error.why, []).append(name)
    for why, names in denied.items():
        unread.append(Drift("unreadable", f"{', '.join(names)} cannot be checked: {why}"))
    return settings, unread
