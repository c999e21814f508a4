"""The hint about locks that RWM did not set, and the sample of versions that it judges."""

from __future__ import annotations

import random

from rwm.errors import AccessDenied
from rwm.location import Location
from rwm.lock.rules import MAX_AHEAD
from rwm.model import ObjectVersion, Retention
from rwm.s3 import DefaultRetention
from rwm.times import DAY
from rwm.trust import AuditSettings, LocationAudit, add_lock_findings, audit_location, can_judge_locks
from rwm.trust.lock_rules import LONGEST_OWN, OwnLock, SampledLock, judge_locks
from rwm.trust.version_sample import SAMPLED, VersionSample
from tests.unit.memory import START, MemoryS3
from tests.unit.rwm.trust.memory_bucket import load, with_backups

LOCATION = Location("bucket1")


def version(number: int, *, is_marker: bool = False) -> ObjectVersion:
    return ObjectVersion(f"data/{number}", f"v{number}", True, is_marker, 1, "", START + number)


def codes(
    found: Retention | None,
    recorded: Retention | None = None,
    default: int = 0,
    now: int = START,
    *,
    is_recorded: bool = True,
) -> list[str]:
    until = 0 if recorded is None else recorded.until
    lock = SampledLock(version(0), found, OwnLock(until, until))
    return [finding.rule.code for finding in judge_locks("", [lock], default, now, is_recorded=is_recorded)]


def locked(days: int) -> Retention:
    return Retention("governance", START + days * DAY)


def test_a_lock_that_neither_rwm_nor_the_default_explains_is_foreign() -> None:
    assert codes(None) == []
    assert codes(locked(30)) == ["foreign-lock"]
    assert codes(locked(30), default=30 * DAY) == []
    assert codes(locked(30), default=20 * DAY) == ["foreign-lock"]
    assert codes(locked(30), recorded=locked(30)) == []
    assert codes(locked(300), recorded=locked(30), default=60 * DAY) == ["foreign-lock"]


def test_a_lock_that_was_taken_away_or_shortened() -> None:
    assert codes(None, recorded=locked(30)) == ["shortened-lock"]
    assert codes(locked(10), recorded=locked(30)) == ["shortened-lock"]
    assert codes(locked(10), recorded=locked(30), default=40 * DAY) == ["shortened-lock"]
    assert codes(None, recorded=locked(30), now=START + 30 * DAY) == []


def test_another_computer_may_have_set_what_its_rwm_lock_sets() -> None:
    assert MAX_AHEAD + 31 * DAY < LONGEST_OWN
    assert codes(locked(420), is_recorded=False) == []
    assert codes(locked(3650), is_recorded=False) == ["foreign-lock"]


def test_a_lock_that_has_ended_is_none() -> None:
    assert codes(locked(30), now=START + 31 * DAY) == []


class TestVersionSample:
    def test_few_versions_are_all_taken_and_no_marker(self) -> None:
        sample = VersionSample()
        sample.add([version(1), version(2, is_marker=True), version(3)])
        assert sample.versions() == [version(1), version(3)]

    def test_it_is_bounded_has_the_newest_and_does_not_depend_on_the_order(self) -> None:
        numbers = list(range(5000))
        samples = []
        for seed in range(3):
            random.Random(seed).shuffle(numbers)
            sample = VersionSample()
            for number in numbers:
                sample.add([version(number)])
            samples.append(sample.versions())
        assert samples[0] == samples[1] == samples[2]
        assert SAMPLED < len(samples[0]) <= 2 * SAMPLED
        assert {version(number) for number in range(5000 - SAMPLED, 5000)} <= set(samples[0])


def audit(s3: MemoryS3) -> LocationAudit:
    found = audit_location(s3, LOCATION, AuditSettings(samples_locks=True))
    add_lock_findings(s3, found, lambda each: OwnLock(), is_recorded=True)
    return found


def repository() -> MemoryS3:
    s3 = MemoryS3("bucket1")
    s3.account = s3.owner
    s3.object_lock = True
    bucket, _ = with_backups("")
    load(s3, bucket, bucket.now + DAY)
    return s3


def lock_all(s3: MemoryS3, days: int) -> None:
    for history in s3.buckets["bucket1"].values():
        for entry in history:
            if not entry.is_marker:
                s3.retentions[entry.key, entry.version_id] = Retention("governance", entry.last_modified + days * DAY)


def test_an_honest_repository_has_no_finding() -> None:
    s3 = repository()
    assert can_judge_locks(s3, LOCATION)
    assert audit(s3).findings() == []
    s3.default_lock = DefaultRetention("governance", 30 * DAY)
    lock_all(s3, 30)
    assert audit(s3).findings() == []


def test_inflated_locks_are_found_and_change_no_verdict() -> None:
    s3 = repository()
    lock_all(s3, 3650)
    found = audit(s3)
    assert {finding.rule.code for finding in found.findings()} == {"foreign-lock"}
    assert 0 < len(found.findings()) <= 2 * SAMPLED
    assert found.verdict_now() == "clean" and found.proofs == 0
    assert [finding.id for finding in found.findings()] == [finding.id for finding in audit(s3).findings()]


def test_only_the_admin_judges_locks() -> None:
    """A machine's index does not know what the admin has locked."""
    s3 = repository()
    s3.object_lock = False
    assert not can_judge_locks(s3, LOCATION)
    s3 = repository()
    s3.acl = lambda bucket: ("somebody", [])  # type: ignore[method-assign]
    assert not can_judge_locks(s3, LOCATION)

    def refuse(bucket: str) -> tuple[str, list[tuple[str, str]]]:
        raise AccessDenied("no")

    s3.acl = refuse  # type: ignore[method-assign]
    assert not can_judge_locks(s3, LOCATION)
