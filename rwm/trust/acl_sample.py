"""Ask the server for the ACLs of the versions that an audit has sampled."""

from __future__ import annotations

from rwm.model import ObjectVersion
from rwm.s3 import S3
from rwm.trust.acl_rules import SampledAcl, judge_acls
from rwm.trust.ask_sample import ask_about
from rwm.trust.location_audit import LocationAudit

Acl = tuple[str, list[tuple[str, str]]]
"""The owner of a version, and the grants: (grantee, permission)."""

_NO_ACL: Acl = ("", [])


def add_acl_findings(s3: S3, audit: LocationAudit) -> None:
    """Judge the ACLs of the versions that the audit has sampled (``AuditSettings.samples_acls``).

    Raises S3Error if the server does not tell them.
    """
    bucket = audit.location.bucket
    owner, _ = s3.acl(bucket)

    def ask(version: ObjectVersion) -> Acl:
        return s3.version_acl(bucket, version.key, version.version_id)

    for repository in audit.repositories:
        versions = audit.acl_samples[repository.root].versions()
        found = ask_about(versions, ask, _NO_ACL)
        acls = [SampledAcl(version, *acl) for version, acl in zip(versions, found, strict=True)]
        for finding in judge_acls(repository.root, acls, owner):
            repository.log.add(finding)
