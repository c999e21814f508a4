"""The check of the bucket before a run: problems are warnings, because a backup is better than none."""

from __future__ import annotations

from rwm.errors import AccessDenied, NotFound, RwmError
from rwm.s3 import S3
from rwm.storage import check_storage


def bucket_warnings(s3: S3, bucket: str) -> list[str]:
    """Why the bucket does not protect its backups, one text for each reason. Raises nothing.

    Only settings of the bucket are read, which keys of a prefix may do too.
    """
    try:
        drift = [item.detail for item in check_storage(s3, bucket)]
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
