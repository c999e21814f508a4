"""Ask the server for the ACLs of the versions that an audit has sampled."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from rwm.errors import NotFound, S3Error, Unreachable
from rwm.location import Location
from rwm.model import ObjectVersion
from rwm.s3 import S3
from rwm.trust.acl_rules import SampledAcl, judge_acls
from rwm.trust.location_audit import LocationAudit

THREADS = 8


def is_admin(s3: S3, location: Location) -> bool:
    """Whether the account owns the bucket: the admin's, which may ask about single versions. Raises Unreachable."""
    try:
        owner, _ = s3.acl(location.bucket)
        return owner == s3.owner_id()
    except Unreachable:
        raise
    except S3Error:  # a machine may not ask
        return False


def add_acl_findings(s3: S3, audit: LocationAudit) -> None:
    """Judge the ACLs of the versions that the audit has sampled (``AuditSettings.samples_acls``).

    Raises S3Error if the server does not tell them.
    """
    bucket = audit.location.bucket
    owner, _ = s3.acl(bucket)
    for repository in audit.repositories:
        acls = _read(s3, bucket, audit.acl_samples[repository.root].versions())
        for finding in judge_acls(repository.root, acls, owner):
            repository.log.add(finding)


def _read(s3: S3, bucket: str, versions: Sequence[ObjectVersion]) -> list[SampledAcl]:
    def read(version: ObjectVersion) -> SampledAcl:
        try:
            return SampledAcl(version, *s3.version_acl(bucket, version.key, version.version_id))
        except NotFound:  # deleted meanwhile
            return SampledAcl(version, "", [])

    if not versions:
        return []
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(read, versions))
