"""The verdict on a repository at a time, and its newest quiet second. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rwm.model import Verdict
from rwm.times import SECOND
from rwm.trust.finding import FindingLog
from rwm.trust.repository_audit import RepositoryAudit

_SEVERITY: tuple[Verdict, ...] = ("clean", "review", "suspect")


def worse(one: Verdict, other: Verdict) -> Verdict:
    """The worse of two verdicts."""
    return max(one, other, key=_SEVERITY.index)


def verdict_at(time: int, logs: Iterable[FindingLog]) -> Verdict:
    """The verdict on the repositories of ``logs`` as they were at the end of the second of ``time``."""
    return verdict_in(time, time, logs)


def verdict_in(start: int, end: int, logs: Iterable[FindingLog]) -> Verdict:
    """The worst verdict on the repositories of ``logs`` from the second of ``start`` to that of ``end``."""
    verdict: Verdict = "clean"
    for log in logs:
        if log.suspect.overlaps(start, end):
            return "suspect"
        if log.questionable.overlaps(start, end):
            verdict = "review"
    return verdict


def quiet_second(audits: Sequence[RepositoryAudit], now: int) -> int | None:
    """The newest whole second before the first proof in which no repository was locked, suspect or in question.

    In milliseconds; None without one. Such a second shows whole repositories. A stale lock, of a killed operation or
    left by an attacker, says of no later second that restic works.
    """
    sets = [held for audit in audits for held in (audit.locks.fresh, audit.log.suspect, audit.log.questionable)]
    before = min([now, *(audit.log.first_proof for audit in audits)])
    second = before // SECOND * SECOND - SECOND
    while second >= 0:
        blocking = [interval[0] for held in sets if (interval := held.at(second))]
        if not blocking:
            return second
        second = min(blocking) - SECOND
    return None
