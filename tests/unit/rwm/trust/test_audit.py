"""The audit of a location while others work: what is seen of them is no finding."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rwm.errors import AccessDenied, BadResponse
from rwm.location import Location
from rwm.model import RecordedState, StateInfo
from rwm.s3.listing import Level
from rwm.times import SECOND
from rwm.trust import AuditSettings, LocationAudit, audit_location, make_report
from tests.histories.bucket import Bucket
from tests.histories.restic import Repository
from tests.histories.steps import run
from tests.unit.memory import MemoryS3
from tests.unit.rwm.trust.memory_bucket import load, with_backups

BUCKET1 = Location("bucket1")


class LiveS3(MemoryS3):
    """A simulated bucket in which restic works between two requests of a listing."""

    def __init__(self, bucket: Bucket, repository: Repository) -> None:
        super().__init__("bucket1")
        self.bucket = bucket
        self.repository = repository
        self.works_before = ""
        self.refresh()

    def refresh(self) -> None:
        load(self, self.bucket, self.bucket.now)

    def level(self, bucket: str, prefix: str = "", *, page_size: int = 1000) -> Iterator[Level]:
        self._work(prefix)
        yield from super().level(bucket, prefix, page_size=page_size)

    def list_pages(self, bucket: str, prefix: str = "", **options: object) -> Iterator[object]:  # type: ignore[override]
        self._work(prefix)
        yield from super().list_pages(bucket, prefix, **options)  # type: ignore[arg-type]

    def version_batches(self, bucket: str, prefix: str = "", *, page_size: int = 1000):  # type: ignore[no-untyped-def]
        self._work(prefix)
        yield from super().version_batches(bucket, prefix, page_size=page_size)

    def _work(self, prefix: str) -> None:
        if prefix == self.works_before:
            self.works_before = ""
            self.bucket.now = self.now + 5 * SECOND
            for operation in (self.repository.forget_prune(1), self.repository.backup(2), self.repository.prune()):
                run(self.bucket, operation)
            self.refresh()


@pytest.fixture
def live() -> LiveS3:
    bucket, (repository,) = with_backups("")
    bucket.now += 3600 * SECOND
    return LiveS3(bucket, repository)


def codes(audit: LocationAudit) -> set[str]:
    return set(audit.counts())


@pytest.mark.parametrize("phase", ["locks/", "config", "keys/", "index/", "snapshots/", "data/"])
def test_restic_works_during_the_listing(live: LiveS3, phase: str) -> None:
    live.works_before = phase
    audit = audit_location(live, BUCKET1)
    assert live.works_before == "", "it has worked"
    assert audit.proofs == 0, audit.findings()
    assert audit_location(live, BUCKET1).proofs == 0


def test_what_happened_before_the_start_is_judged(live: LiveS3) -> None:
    live.bucket.now += 3600 * SECOND
    live.bucket.delete(live.repository.files("data")[0])
    live.refresh()
    assert codes(audit_location(live, BUCKET1)) == {"unlocked-removal"}


def test_without_packs_the_rest_is_judged(live: LiveS3) -> None:
    live.bucket.now += 3600 * SECOND
    live.bucket.delete(live.repository.files("data")[0])
    live.bucket.delete("config")
    live.refresh()
    audit = audit_location(live, BUCKET1, packs=False)
    assert codes(audit) == {"unlocked-removal", "removed-config"}
    assert {finding.key for finding in audit.findings()} == {"config"}
    assert audit.repositories[0].versions < audit_location(live, BUCKET1).repositories[0].versions


def test_codes_that_are_excepted_are_not_judged(live: LiveS3) -> None:
    live.bucket.now += 3600 * SECOND
    live.bucket.delete("config")
    live.refresh()
    settings = AuditSettings(except_codes=frozenset({"unlocked-removal"}))
    assert codes(audit_location(live, BUCKET1, settings)) == {"removed-config"}


def test_a_state_of_the_original_tool_is_judged_as_of_its_whole_listing(live: LiveS3) -> None:
    """Who forges one chooses what it has of the hours after its second."""
    at = live.bucket.now // SECOND * SECOND
    live.bucket.now += 3600 * SECOND
    live.bucket.delete(live.repository.files("data")[0])
    live.bucket.now += 3600 * SECOND
    live.refresh()
    audit = audit_location(live, BUCKET1)
    states = [StateInfo("a" * 64, "bucket1", at, origin, 5, 5) for origin in ("capture", "original")]
    assert [audit.verdict(info) for info in states] == ["clean", "suspect"]
    assert [audit.verdicts(info) for info in states] == [{"": "clean"}, {"": "suspect"}]
    report = make_report(audit, [RecordedState(info, "verified", at) for info in states])
    assert [[one.rule.code for one in item.findings] for item in report.states] == [[], ["unlocked-removal"]]


def test_a_clock_that_stands_still_is_an_error(live: LiveS3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rwm.s3.versions._TICK_LIMIT", 0)
    monkeypatch.setattr(live, "server_time", lambda bucket: 1000)
    monkeypatch.setattr(live, "stamp_time", lambda bucket, key: 1000)
    with pytest.raises(BadResponse, match="stands still"):
        audit_location(live, BUCKET1)


# --- the Date header is of another clock than the times of objects --------------------------------------------------


HOUR = 3600 * SECOND


def set_date(monkeypatch: pytest.MonkeyPatch, live: LiveS3, ahead: int, *, measurable: bool) -> None:
    """Let a gateway answer with a Date that is so many milliseconds ahead of the clock of the objects."""
    server_time = live.server_time

    def denied(bucket: str, key: str) -> int:
        raise AccessDenied("CreateMultipartUpload is denied")

    monkeypatch.setattr(live, "server_time", lambda bucket: server_time(bucket) + ahead)
    monkeypatch.setattr("rwm.s3.clock.time.sleep", lambda seconds: None)
    if not measurable:
        monkeypatch.setattr(live, "stamp_time", denied)


@pytest.mark.parametrize("measurable", [True, False], ids=["measured", "read-only"])
@pytest.mark.parametrize("ahead", [-5 * HOUR, -3 * SECOND, 0, 3 * SECOND, 5 * HOUR])
def test_an_attack_is_found_whatever_the_date(
    live: LiveS3, monkeypatch: pytest.MonkeyPatch, ahead: int, measurable: bool
) -> None:
    """With a gateway that was hours behind, what happened since was not judged, and the answer was `clean`."""
    live.works_before = "nothing"
    live.bucket.delete(live.repository.files("data")[0])
    live.bucket.now += 60 * SECOND
    live.refresh()
    set_date(monkeypatch, live, ahead, measurable=measurable)
    audit = audit_location(live, BUCKET1)
    assert codes(audit) == {"unlocked-removal"}
    assert audit.clock.is_measured is measurable
    second = audit.quiet_second()
    assert second is not None and second < audit.last_proof(BUCKET1)
    assert audit.known_now <= live.bucket.now + HOUR // 60


@pytest.mark.parametrize("measurable", [True, False], ids=["measured", "read-only"])
@pytest.mark.parametrize("ahead", [-5 * HOUR, 0, 5 * HOUR])
@pytest.mark.parametrize("phase", ["locks/", "index/", "data/"])
def test_restic_works_during_the_listing_whatever_the_date(
    live: LiveS3, monkeypatch: pytest.MonkeyPatch, ahead: int, measurable: bool, phase: str
) -> None:
    live.works_before = phase
    set_date(monkeypatch, live, ahead, measurable=measurable)
    audit = audit_location(live, BUCKET1)
    assert live.works_before == ""
    assert audit.proofs == 0, audit.findings()


def test_the_newest_second_of_a_bucket_is_not_in_the_future(live: LiveS3, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state of it could be contradicted by what is written until then."""
    live.works_before = "nothing"
    set_date(monkeypatch, live, 5 * HOUR, measurable=False)
    audit = audit_location(live, BUCKET1)
    second = audit.quiet_second()
    assert second is not None and second < max(entry.last_modified for entry in live.bucket.listing())


def test_a_clean_bucket_is_listed_once(live: LiveS3, monkeypatch: pytest.MonkeyPatch) -> None:
    live.works_before = "nothing"
    counts: list[int] = []
    for ahead in (0, 5 * HOUR):
        set_date(monkeypatch, live, ahead, measurable=False)
        counts.clear()
        audit = audit_location(live, BUCKET1, progress=counts.append)
        assert sum(counts) == sum(repository.versions for repository in audit.repositories)
