"""The check of the bucket before a run: problems are warnings, because a backup is better than none."""

from __future__ import annotations

from rwm.errors import AccessDenied, NotFound, RwmError
from rwm.location import Location
from rwm.s3 import S3
from rwm.storage import inspect_storage


def bucket_warnings(s3: S3, location: Location) -> list[str]:
    """Why the bucket does not protect the backups at the location, one text for each reason. Raises nothing.

    Only settings of the bucket are read, which keys of a prefix may do too.
    """
    bucket = location.bucket
    try:
        drift = [item.detail for item in inspect_storage(s3, location).drift]
        if _is_owner(s3, bucket):
            drift.append("it belongs to the account that backs up, which can remove every protection")
    except NotFound:
        return [
            f"bucket {bucket} does not exist yet: `rwm restic init` creates an unprotected one, "
            "`rwm storage create` of the admin a protected one"
        ]
    except RwmError as error:
        return [f"bucket {bucket} could not be checked: {error.message}"]
    return [f"bucket {bucket}: {detail}" for detail in drift]


def _is_owner(s3: S3, bucket: str) -> bool:
    try:
        return s3.acl(bucket)[0] == s3.owner_id()
    except AccessDenied:  # on AWS an account without these rights is not the owner
        return False
