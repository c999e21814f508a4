"""Check that a bucket still is a protected one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rwm.errors import AccessDenied, NotSupported
from rwm.s3 import S3
from rwm.storage.drift import Drift, policy_drift, settings_drift
from rwm.storage.principals import user_ids

WRONG_KEYS = ("InvalidAccessKeyId", "SignatureDoesNotMatch")
"""S3 error codes for an unknown access key and for a secret key that does not fit it."""


def check_storage(s3: S3, bucket: str) -> list[Drift]:
    """Every difference from a protected bucket; empty when there is none.

    A setting that this account may not read, or that the server does not have, is drift too. Raises NotFound for an
    unknown bucket, and AccessDenied for keys that the server does not accept at all.
    """
    readers: dict[str, Callable[[str], Any]] = {
        "versioning": s3.versioning,
        "acl": s3.acl,
        "policy": s3.policy,
        "lifecycle": s3.lifecycle_rules,
    }
    settings: dict[str, Any] = {}
    found: list[Drift] = []
    for name, read in readers.items():
        try:
            settings[name] = read(bucket)
        except NotSupported as error:
            found.append(Drift("unsupported", f"{error.hint} ({error.message})"))
        except AccessDenied as error:
            if error.code in WRONG_KEYS:
                raise
            found.append(Drift("unreadable", f"the {name} cannot be checked: {error.message}"))
    owner, acl_grants = settings.get("acl", ("", []))
    if "policy" in settings:
        found += policy_drift(settings["policy"], bucket, owner)
    return found + settings_drift(
        versioning=settings.get("versioning", "Enabled"),
        owner=owner,
        user_ids=user_ids(settings.get("policy"), owner),
        bucket_grants=acl_grants,
        lifecycle=settings.get("lifecycle", []),
    )
