"""The hint about versions that somebody has published by their ACL, and the sample of versions that it judges."""

from __future__ import annotations

import pytest

from rwm.errors import AccessDenied, Unreachable
from rwm.location import Location
from rwm.model import ObjectVersion
from rwm.times import DAY
from rwm.trust import AuditSettings, LocationAudit, add_acl_findings, audit_location, can_judge_locks, is_admin
from rwm.trust.acl_rules import SampledAcl, judge_acls
from rwm.trust.version_sample import SAMPLED
from tests.unit.memory import START, MemoryS3
from tests.unit.rwm.trust.memory_bucket import load, with_backups

LOCATION = Location("bucket1")
EVERYBODY = "http://acs.amazonaws.com/groups/global/AllUsers"
IN_PARTS = f"{'a' * 32}-1"


def details(*grants: tuple[str, str]) -> list[str]:
    version = ObjectVersion("data/00/pack", "v1", True, False, 1, IN_PARTS, START)
    acl = SampledAcl(version, "user1", [("user1", "FULL_CONTROL"), *grants])
    return [finding.detail for finding in judge_acls("", [acl], "admin")]


def test_the_writer_and_the_owner_of_the_bucket_may_have_grants() -> None:
    assert details() == []
    assert details(("admin", "FULL_CONTROL")) == []
    assert details((EVERYBODY, "READ")) == ["its ACL grants READ to everybody"]
    assert details(("user9", "READ"), (EVERYBODY.replace("All", "Authenticated"), "WRITE")) == [
        "its ACL grants WRITE to every account, READ to user9"
    ]
    many = details(*((f"user{number:02}", "READ") for number in range(100)))
    assert many == ["its ACL grants READ to user00, READ to user01, READ to user02 and 97 more"]


def repository() -> MemoryS3:
    s3 = MemoryS3("bucket1")
    s3.account = s3.owner
    bucket, _ = with_backups("")
    load(s3, bucket, bucket.now + DAY)
    return s3


def publish(s3: MemoryS3, *, in_parts: bool) -> int:
    """Publish all packs; their number."""
    packs = [key for key in s3.buckets["bucket1"] if key.startswith("data/")]
    for key in packs:
        (entry, *rest) = s3.buckets["bucket1"][key]
        s3.buckets["bucket1"][key] = [entry._replace(etag=IN_PARTS) if in_parts else entry, *rest]
        s3.version_grants[key, entry.version_id] = [(EVERYBODY, "READ")]
    return len(packs)


def audit(s3: MemoryS3) -> LocationAudit:
    found = audit_location(s3, LOCATION, AuditSettings(samples_acls=True))
    add_acl_findings(s3, found)
    return found


def test_an_honest_repository_has_no_finding() -> None:
    s3 = repository()
    assert audit(s3).findings() == []
    publish(s3, in_parts=True)
    s3.version_grants.clear()
    assert audit(s3).findings() == []


def test_published_objects_are_found_and_change_no_verdict() -> None:
    s3 = repository()
    packs = publish(s3, in_parts=True)
    found = audit(s3)
    assert {finding.rule.code for finding in found.findings()} == {"published-object"}
    assert 0 < len(found.findings()) <= min(packs, 2 * SAMPLED)
    assert found.verdict_now() == "clean" and found.proofs == 0
    assert [finding.id for finding in found.findings()] == [finding.id for finding in audit(s3).findings()]


def test_the_server_is_asked_about_uploads_in_parts_alone() -> None:
    """A policy denies the ACL headers of a PUT, and a question for each object costs a request."""
    s3 = repository()
    publish(s3, in_parts=False)
    assert audit(s3).acl_samples[""].versions() == []


def test_only_the_admin_asks() -> None:
    s3 = repository()
    assert is_admin(s3, LOCATION)
    s3.acl = lambda bucket: ("somebody", [])  # type: ignore[method-assign]
    assert not is_admin(s3, LOCATION)

    def refuse(bucket: str) -> tuple[str, list[tuple[str, str]]]:
        raise AccessDenied("no")

    s3.acl = refuse  # type: ignore[method-assign]
    assert not is_admin(s3, LOCATION)


def test_a_server_that_does_not_answer_makes_nobody_a_machine() -> None:
    """Else an audit would say nothing of ACLs and locks, as if it had looked."""
    s3 = repository()
    s3.object_lock = True

    def fail(bucket: str) -> tuple[str, list[tuple[str, str]]]:
        raise Unreachable("no answer")

    s3.acl = fail  # type: ignore[method-assign]
    for question in (is_admin, can_judge_locks):
        with pytest.raises(Unreachable):
            question(s3, LOCATION)
