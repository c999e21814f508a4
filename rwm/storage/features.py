"""What a server lacks, each with its consequence: nothing that it lacks is left out in silence."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from rwm.errors import AccessDenied, NotSupported
from rwm.layout import OWN_PREFIX
from rwm.location import Location
from rwm.s3 import S3, Policy
from rwm.storage.bucket_lock import UNSUPPORTED, BucketLock
from rwm.storage.grants import statements
from rwm.storage.policy import PROBED_PREFIX, conditional_probe
from rwm.storage.policy_write import write_policy

_OTHER_PREFIX = OWN_PREFIX + "unprobed/"

_EFFECT_SECONDS = 5.0
"""How long to wait until a policy takes effect, because servers cache policies."""


class MissingFeature(NamedTuple):
    """A feature that the server does not have. ``feature`` is for scripts, ``consequence`` for people."""

    feature: str
    consequence: str


CONDITIONS = MissingFeature(
    "policy-conditions",
    "the server does not obey conditions in policies: a machine can publish what it writes by ACL headers, copy, and "
    "encrypt with keys of its own, and one with a prefix can list the whole bucket",
)


def missing_features(s3: S3, location: Location, lock: BucketLock) -> list[MissingFeature]:
    """What the server does not have, as far as reading tells: Object Lock, and listings."""
    found = [MissingFeature("object-lock", UNSUPPORTED)] if lock.status == "unsupported" else []
    bucket = location.bucket
    for feature, read in (
        ("version-listing", lambda: next(s3.versions(bucket, location.prefix, page_size=1), None)),
        ("upload-listing", lambda: next(s3.unfinished_uploads(bucket, page_size=1), None)),
    ):
        try:
            with suppress(AccessDenied):  # it has the feature
                read()
        except NotSupported as error:
            found.append(MissingFeature(feature, error.hint))
    return found


def obeys_conditions(s3: S3, bucket: str, principal: str, policy: Policy | None) -> bool:
    """Whether the server obeys a condition, tried with a deny of a listing to this account; no object is written.

    ``policy`` stays in force meanwhile, and is written back.
    """
    probe = conditional_probe(bucket, principal)
    s3.put_policy(bucket, {**probe, "Statement": statements(policy) + probe["Statement"]})
    try:
        deadline = time.monotonic() + _EFFECT_SECONDS
        while True:
            if _is_denied(s3, bucket, PROBED_PREFIX) and not _is_denied(s3, bucket, _OTHER_PREFIX):
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(0.2)
    finally:
        write_policy(s3, bucket, policy)


def warn_of_missing(
    s3: S3, location: Location, lock: BucketLock, *, conditions: bool, warn: Callable[[str], None]
) -> None:
    """Name what the server lacks to the user. ``conditions``: whether it obeys conditions."""
    for missing in [*missing_features(s3, location, lock), *([] if conditions else [CONDITIONS])]:
        warn(missing.consequence)


def _is_denied(s3: S3, bucket: str, prefix: str) -> bool:
    try:
        next(s3.versions(bucket, prefix, page_size=1), None)
    except AccessDenied:
        return True
    return False
