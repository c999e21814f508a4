"""Ask the server for the retentions of the versions that an audit has sampled."""

from __future__ import annotations

from collections.abc import Callable

from rwm.errors import S3Error, Unreachable
from rwm.location import Location
from rwm.model import ObjectVersion, Retention
from rwm.s3 import S3
from rwm.trust.ask_sample import ask_about, is_admin
from rwm.trust.location_audit import LocationAudit
from rwm.trust.lock_rules import OwnLock, SampledLock, judge_locks

Recorded = Callable[[ObjectVersion], OwnLock]
"""What RWM has recorded of the lock of a version."""


def can_judge_locks(s3: S3, location: Location) -> bool:
    """Whether versions can be locked there, and the account is that of the admin, who knows what RWM has locked.

    Raises Unreachable.
    """
    try:
        return s3.has_object_lock(location.bucket) and is_admin(s3, location)
    except Unreachable:
        raise
    except S3Error:  # a machine may not ask
        return False


def add_lock_findings(s3: S3, audit: LocationAudit, recorded: Recorded, *, is_recorded: bool) -> None:
    """Judge the locks of the versions that the audit has sampled (``AuditSettings.samples_locks``).

    ``is_recorded``: whether this computer has set any in the bucket. Raises S3Error if the server does not tell them.
    """
    bucket = audit.location.bucket
    default = s3.default_retention(bucket)
    duration = 0 if default is None else default.duration

    def ask(version: ObjectVersion) -> Retention | None:
        return s3.retention(bucket, version.key, version.version_id)

    for repository in audit.repositories:
        versions = audit.lock_samples[repository.root].versions()
        found = ask_about(versions, ask, None)
        locks = [SampledLock(version, lock, recorded(version)) for version, lock in zip(versions, found, strict=True)]
        for finding in judge_locks(repository.root, locks, duration, audit.now, is_recorded=is_recorded):
            repository.log.add(finding)
