"""Object Lock: the retention of versions and the default of a bucket."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from rwm.errors import NotFound
from rwm.model import LOCK_MODES, LockMode, Retention
from rwm.s3.error_mapping import mapped
from rwm.times import DAY, SECOND

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_NO_RETENTION = ("ObjectLockConfigurationNotFoundError", "NoSuchObjectLockConfiguration")
"""Codes for a version without retention: of Ceph RGW and SeaweedFS, and of AWS."""

_DAYS_OF_YEAR = 365


class DefaultRetention(NamedTuple):
    """The retention that a bucket gives to new versions, for ``duration`` milliseconds."""

    mode: LockMode
    duration: int


class Retentions:
    """Operations on the retention of versions. A part of :class:`rwm.s3.S3`."""

    client: S3Client

    def put_retention(self, bucket: str, key: str, version_id: str, retention: Retention) -> None:
        """Lock a version until a time, a whole second. The server refuses to shorten a lock: AccessDenied."""
        wanted: Any = {
            "Mode": retention.mode.upper(),
            "RetainUntilDate": datetime.fromtimestamp(retention.until // SECOND, UTC),
        }
        with mapped("PutObjectRetention", f"{bucket}/{key} version {version_id}"):
            self.client.put_object_retention(Bucket=bucket, Key=key, VersionId=version_id, Retention=wanted)

    def retention(self, bucket: str, key: str, version_id: str) -> Retention | None:
        """The retention of a version, also one that has ended; None if it never had one."""
        try:
            with mapped("GetObjectRetention", f"{bucket}/{key} version {version_id}"):
                response = self.client.get_object_retention(Bucket=bucket, Key=key, VersionId=version_id)
        except NotFound as error:
            if error.code in _NO_RETENTION:
                return None
            raise
        found: dict[str, Any] = dict(response.get("Retention", {}))
        mode, until = _mode(found), found.get("RetainUntilDate")
        return None if mode is None or until is None else Retention(mode, int(until.timestamp() * SECOND))

    def default_retention(self, bucket: str) -> DefaultRetention | None:
        """The retention of new versions; None without one. Raises NotFound in a bucket without Object Lock."""
        with mapped("GetObjectLockConfiguration", bucket):
            response = self.client.get_object_lock_configuration(Bucket=bucket)
        rule: dict[str, Any] = dict(response.get("ObjectLockConfiguration", {}).get("Rule", {}))
        found = rule.get("DefaultRetention", {})
        days = int(found.get("Days") or 0) + _DAYS_OF_YEAR * int(found.get("Years") or 0)
        mode = _mode(found)
        return DefaultRetention(mode, days * DAY) if mode is not None and days else None

    def put_default_retention(self, bucket: str, retention: DefaultRetention) -> None:
        """Lock what is written from now on, for whole days.

        Enables Object Lock too where the server can do that for an existing bucket; Ceph RGW answers InvalidBucketState
        (409).
        """
        default: Any = {"Mode": retention.mode.upper(), "Days": retention.duration // DAY}
        configuration: Any = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": default}}
        with mapped("PutObjectLockConfiguration", bucket):
            self.client.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=configuration)


def _mode(found: dict[str, Any]) -> LockMode | None:
    return next((mode for mode in LOCK_MODES if mode == str(found.get("Mode", "")).lower()), None)
