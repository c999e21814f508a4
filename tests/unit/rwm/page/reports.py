"""Reports of audits: a clean bucket, an attacked one, and one with hostile names."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from rwm.location import Location
from rwm.model import RecordedState, StateInfo
from rwm.page import PageText, render_page
from rwm.times import DAY, SECOND
from rwm.trust import AuditReport, AuditSettings, LocationAudit, make_report
from tests.histories.bucket import Bucket
from tests.histories.restic import Repository
from tests.histories.steps import run
from tests.unit.rwm.trust.auditing import audit_repository

HOSTILE = (
    "<script>alert(1)</script>",
    '"><svg onload=alert(1)>',
    "'><img src=http://attacker.example/ onerror=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "</table></style></title>&lt;b&gt;",
    "\u202egnp.exe\u2066\u200b",
    "\x01\x1b[31m\x7f\n\r\t\u2028",
    "\ufffe\ufffd\ud800",
    "long" * 256,
)
"""Names that an attacker may give to a key."""

TEXT = PageText(
    "bucket1: 2 proofs of an attack or a fault",
    ["removals are not judged by locks"],
    ["last clean state: 0123 of 2026", "  rwmfs mount bucket1 --at 0123 /mnt/repo"],
)


def page_of(report: AuditReport, text: PageText = TEXT) -> str:
    return render_page(report, text, "2.0.0")


def clean_report(backups: int = 6) -> AuditReport:
    """A backup a day, and a state after each."""
    bucket, _ = _backed_up(backups)
    return _report(bucket, _daily_states(bucket, backups))


def attacked_report(*names: str, backups: int = 60) -> AuditReport:
    """A third of the packs is deleted after two thirds of the backups, and files with these names are written."""
    bucket, repository = _backed_up(backups * 2 // 3)
    bucket.now += 3600 * SECOND
    for pack in repository.files("data")[::3]:
        bucket.now += 7 * SECOND
        bucket.delete(pack)
    for number, name in enumerate(names):
        bucket.put(("data/", "keys/", "index/")[number % 3] + name, 10)
    _back_up(bucket, repository, backups - backups * 2 // 3)
    return _report(bucket, _daily_states(bucket, backups))


def empty_report() -> AuditReport:
    """A repository in which nothing is left, and no state."""
    return _report(Bucket(), [])


def _backed_up(backups: int) -> tuple[Bucket, Repository]:
    bucket = Bucket()
    repository = Repository(bucket, "", 1)
    run(bucket, repository.init())
    _back_up(bucket, repository, backups)
    return bucket, repository


def _back_up(bucket: Bucket, repository: Repository, backups: int) -> None:
    for number in range(backups):
        bucket.now += DAY
        run(bucket, repository.backup(2 + number % 4))
        if number % 20 == 19:
            run(bucket, repository.forget_prune(7))


def _daily_states(bucket: Bucket, count: int) -> list[RecordedState]:
    first = bucket.now - (count - 1) * DAY
    times = [first + number * DAY + 600 * SECOND for number in range(count)]
    infos = [
        StateInfo(sha256(str(at).encode()).hexdigest(), "bucket1", at // SECOND * SECOND, "capture", 9, 155)
        for at in times
    ]
    return [RecordedState(info, "verified", 0) for info in infos]


def _report(bucket: Bucket, states: Sequence[RecordedState]) -> AuditReport:
    now = bucket.now + 3600 * SECOND
    audit = LocationAudit(Location("bucket1"), now, AuditSettings(), [audit_repository(bucket.listing(), "", now)])
    return make_report(audit, states)
