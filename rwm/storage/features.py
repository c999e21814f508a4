"""What a server lacks, each with its consequence: nothing that it lacks is left out in silence."""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

from rwm.errors import AccessDenied, NotSupported
from rwm.location import Location
from rwm.s3 import S3
from rwm.storage.bucket_lock import UNSUPPORTED, BucketLock


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
