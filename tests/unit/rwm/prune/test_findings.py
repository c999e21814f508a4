"""What speaks against a plan reaches it: each condition by itself, in a bucket in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rwm.index import Index
from rwm.location import Location
from rwm.model import Acknowledgement, RecordedState, StateInfo, Verification
from rwm.prune import PrunePlan
from rwm.prune.plan import plan_prune
from rwm.retention.audit_judgement import AuditJudgement
from rwm.retention.selection import select_kept_states
from rwm.states.capture import capture_state
from rwm.times import SECOND
from rwm.trust import AuditSettings, audit_location
from tests.keeping import keep_last
from tests.unit.memory import MemoryS3
from tests.unit.rwm.verify.verify_setup import named

BUCKET = "bucket1"
WHOLE = Location(BUCKET)
CONFIG, KEY, PACK = bytes(155), bytes(400), b"p" * 50
FORGIVEN = AuditSettings(
    {code: Acknowledgement(code, 1 << 60, 0, "") for code in ("unlocked-removal", "removed-config", "rewritten-config")}
)


class Place:
    """A bucket with a repository without locks."""

    def __init__(self, index: Index) -> None:
        self.s3, self.index = MemoryS3(BUCKET), index
        self.pack = named("data", PACK)
        for key, content in (("config", CONFIG), (named("keys", KEY), KEY), (self.pack, PACK)):
            self.s3.put(BUCKET, key, content)

    def capture(self, *, failed: bool = False) -> StateInfo:
        self.s3.now += 10 * SECOND
        info = capture_state(
            self.s3, self.index, WHOLE, origin="backup" if failed else "capture", outcome="failed" if failed else None
        )
        self.s3.now += 10 * SECOND
        return info

    def plan(self, *kept: StateInfo, settings: AuditSettings = FORGIVEN) -> PrunePlan:
        return plan_prune(self.s3, self.index, WHOLE, kept, audit=audit_location(self.s3, WHOLE, settings))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with Index.open(tmp_path / "index.sqlite") as index:
        yield Place(index)


def test_nothing_speaks_against_an_honest_prune(place: Place) -> None:
    plan = place.plan(place.capture())
    assert (plan.refused, plan.findings) == ((), ())


def test_a_state_without_config(place: Place) -> None:
    place.capture()
    place.s3.delete(BUCKET, "config")
    newest = place.capture()
    assert (
        f"the newest kept state {newest.id[:12]} has no config: restic could not open it" in place.plan(newest).findings
    )


def test_a_backup_that_failed(place: Place) -> None:
    newest = place.capture(failed=True)
    assert place.plan(newest).findings == (
        f"the newest kept state {newest.id[:12]} was captured after a backup that failed",
    )


def test_a_verification_that_failed(place: Place) -> None:
    newest = place.capture()
    place.index.verifications.record(newest.id, "restic", Verification(place.s3.now, 1, 1, 1, 3))
    (finding,) = place.plan(newest).findings
    assert "was verified (restic) on" in finding and finding.endswith(": 3 faults")


def test_a_state_that_is_much_smaller_than_one_that_ends(place: Place) -> None:
    for number in range(10):
        place.s3.put(BUCKET, f"notes/{number}", b"1")
    large = place.capture()
    for number in range(10):
        place.s3.delete(BUCKET, f"notes/{number}")
    newest = place.capture()
    findings = place.plan(newest).findings
    assert any(f"state {large.id[:12]}, which this would end, has {large.objects}" in finding for finding in findings)


def test_kept_states_that_are_not_confirmed_or_not_complete(place: Place) -> None:
    first = place.capture()
    version = place.s3.put(BUCKET, "notes", b"1")
    second, third = place.capture(), place.capture()
    for trust, text in (("contradicted", "is contradicted by"), ("unchecked", "was not compared with")):
        place.index.ledger.set_trust({first.id: trust}, place.s3.now)  # type: ignore[dict-item]
        assert any(text in finding for finding in place.plan(first, third).findings)
    place.index.ledger.set_trust({first.id: "verified"}, place.s3.now)
    place.s3.delete(BUCKET, "notes")
    newest = place.capture()
    place.s3.remove(BUCKET, "notes", version)
    findings = place.plan(second, newest).findings
    text = f"the kept state {second.id[:12]}"
    assert any(finding.startswith(text) and "is not complete" in finding for finding in findings)


def test_a_file_that_cannot_be_used(place: Place) -> None:
    newest = place.capture()
    place.s3.bodies[place.s3.present(BUCKET)[place.pack]] = b"x" * len(PACK)
    plan = place.plan(newest)
    assert plan.files_read == 3
    assert any(place.pack in finding and "cannot be used" in finding for finding in plan.findings)


def test_only_files_of_the_newest_clean_state_are_read(place: Place) -> None:
    """Those of a state that is not clean say nothing."""
    clean = place.capture()
    pack = named("data", b"q" * 60)
    place.s3.put(BUCKET, pack, b"q" * 60)
    place.s3.bodies[place.s3.present(BUCKET)[pack]] = b"x" * 60
    place.s3.put(BUCKET, "keys/README", b"foreign")
    newest = place.capture()
    for _ in range(10):  # the files are chosen at random
        assert not any(pack in finding for finding in place.plan(clean, newest).findings)


def test_states_that_are_all_contradicted(place: Place) -> None:
    info = place.capture()
    place.index.ledger.set_trust({info.id: "contradicted"}, place.s3.now)
    assert place.plan().refused == ("the bucket's history confirms no recorded state of bucket bucket1",)


def test_the_first_config_stays_beside_a_later_one(place: Place) -> None:
    place.s3.put(BUCKET, "config", bytes(155))
    plan = place.plan(place.capture())
    assert (len(plan.versions), plan.first_versions) == (0, 1)


def test_a_state_from_after_the_audit_is_not_judged_clean(place: Place) -> None:
    first = place.capture()
    audit = audit_location(place.s3, WHOLE)
    place.s3.now += 10 * SECOND
    later = place.capture()
    kept = select_kept_states(place.index, WHOLE, keep_last(1), audit=audit)
    assert kept == [first, later], "it fills no slot"


@pytest.mark.parametrize(
    ("trust", "objects", "is_complete", "is_suspect", "is_chosen"),
    [
        ("own", 3, True, False, True),
        ("verified", 3, True, False, True),
        ("unknown", 3, True, False, False),
        ("contradicted", 3, True, False, False),
        ("own", 0, True, False, False),
        ("own", 3, False, False, False),
        ("own", 3, True, True, False),
    ],
)
def test_the_last_clean_state(
    place: Place, trust: str, objects: int, *, is_complete: bool, is_suspect: bool, is_chosen: bool
) -> None:
    """Confirmed by the history, with objects, complete, and without any finding that is not acknowledged."""
    if is_suspect:
        place.s3.put(BUCKET, f"data/00/{'00' * 32}", b"tiny")  # a hint
    older = StateInfo("a" * 64, BUCKET, 0, "capture", 1, 1)
    newer = StateInfo("b" * 64, BUCKET, place.s3.now // SECOND * SECOND, "capture", objects, 1)
    place.s3.now += 10 * SECOND
    judgement = AuditJudgement(audit_location(place.s3, WHOLE))
    states = [RecordedState(older, "own"), RecordedState(newer, trust)]  # type: ignore[arg-type]
    complete = {older.id, newer.id} if is_complete else {older.id}
    assert judgement.last_clean(states, complete) == (newer if is_chosen else older)
