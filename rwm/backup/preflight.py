"""The check of the bucket before a run: problems are warnings, because a backup is better than none."""

from __future__ import annotations

from collections.abc import Sequence

from rwm.errors import AccessDenied, NotFound, RwmError
from rwm.location import Location
from rwm.s3 import S3
from rwm.storage import UserAccess, inspect_storage

_NAMED = 3  # prefixes in a warning


def bucket_warnings(s3: S3, location: Location) -> list[str]:
    """Why the bucket does not protect the backups at the location, one text for each reason. Raises nothing.

    Only settings of the bucket are read, which keys of a prefix may do too.
    """
    bucket = location.bucket
    try:
        drift, users = inspect_storage(s3, location)
        problems = [item.detail for item in drift]
        if text := _missing_prefix(location, users):
            problems.append(text)
        if _is_owner(s3, bucket):
            problems.append("it belongs to the account that backs up, which can remove every protection")
    except NotFound:
        return [
            f"bucket {bucket} does not exist yet: `rwm restic init` creates an unprotected one, the admin a protected "
            f"one, by rwm storage create {bucket} USER"
        ]
    except RwmError as error:
        return [f"bucket {bucket} could not be checked: {error.message}"]
    return [f"bucket {bucket}: {detail}" for detail in problems]


def _missing_prefix(location: Location, users: Sequence[UserAccess]) -> str:
    """What to say if the configuration names a whole bucket of which every user has a prefix; empty otherwise."""
    prefixes = [access.prefix for access in users if not access.revoked]
    if location.prefix or not prefixes or "" in prefixes:
        return ""
    named = ", ".join(prefixes[:_NAMED]) + ", ..." * (len(prefixes) > _NAMED)
    return f"no user may write to all of it, but below {named}: add the prefix to restic_bucket"


def _is_owner(s3: S3, bucket: str) -> bool:
    try:
        return s3.acl(bucket)[0] == s3.owner_id()
    except AccessDenied:  # on AWS an account without these rights is not the owner
        return False
