"""The newest quiet second: before the first proof, without a lock, and in no doubt."""

from __future__ import annotations

from rwm.model import Acknowledgement, ObjectVersion, Verdict
from rwm.times import SECOND
from rwm.trust.evidence import SLACK, STALE
from rwm.trust.finding import Finding, FindingLog, Rule
from rwm.trust.intervals import FOREVER
from rwm.trust.repository_audit import RepositoryAudit
from rwm.trust.verdict import quiet_second, worse

PROOF = Rule("a-proof", "proof", "what", "why")
HINT = Rule("a-hint", "hint", "what", "why")
NOW = 1000 * SECOND + 700


def audit(*findings: tuple[Rule, int, int], locks: tuple[tuple[int, int], ...] = (), ack: str = "") -> RepositoryAudit:
    """A repository with findings (rule, first and last second) and with locks (from, to), in seconds."""
    result = RepositoryAudit("", FindingLog({ack: Acknowledgement(ack, NOW, 0, "")} if ack else {}), NOW)
    for rule, start, end in findings:
        at = start * SECOND
        result.log.add(Finding(rule, "", f"{start}", "v", at, "detail", at, min(end * SECOND + SECOND, FOREVER)))
    for start, end in locks:
        times = ((start * SECOND, False), (end * SECOND, True))
        result.locks.add([ObjectVersion("locks/a", f"{at}", False, gone, 0, "", at) for at, gone in times])
    return result


EVER = FOREVER // SECOND


def seconds(*audits: RepositoryAudit) -> float | None:
    found = quiet_second(audits, NOW)
    return None if found is None else found / SECOND


def test_without_findings_it_is_the_last_whole_second() -> None:
    assert seconds(audit()) == 999


def test_it_is_before_the_first_proof_also_after_its_consequence_has_ended() -> None:
    assert seconds(audit((PROOF, 500, 510))) == 499
    assert seconds(audit((PROOF, 500, EVER)), audit((PROOF, 300, 310))) == 299
    assert seconds(audit((PROOF, 500, 510), ack="a-proof")) == 999


def test_no_consequence_of_a_hint_is_in_it() -> None:
    assert seconds(audit((HINT, 900, 950))) == 999
    assert seconds(audit((HINT, 900, EVER))) == 899
    assert seconds(audit((HINT, 900, EVER), (HINT, 890, 899)), audit((HINT, 880, 889))) == 879


def test_no_consequence_of_a_proof_is_in_it_that_began_before_its_time() -> None:
    early = Finding(PROOF, "", "k", "v", 500 * SECOND, "detail", 400 * SECOND, 499 * SECOND)
    one = audit()
    one.log.add(early)
    assert seconds(one) == 499
    one.log.add(early._replace(end=FOREVER))
    assert seconds(one) == 399


def test_no_restic_works_in_it() -> None:
    slack = SLACK // SECOND
    assert seconds(audit(locks=((900, 998),))) == 900 - slack - 1
    assert seconds(audit(locks=((900, 950),))) == 999
    one, other = audit(locks=((900, 998),)), audit(locks=((800, 890), (880, 899)))
    assert seconds(one, other) == 800 - slack - 1


def test_a_stale_lock_keeps_no_later_second_away() -> None:
    """It was left by a killed operation, or by an attacker."""
    one, day = audit(), 86_400 * SECOND
    one.locks.add([ObjectVersion("locks/a", "v", True, False, 135, "", day)])
    assert quiet_second([one], 10 * day) == 10 * day - SECOND
    one.log.add(Finding(PROOF, "", "k", "v", day + STALE, "detail", day + STALE))
    assert quiet_second([one], 10 * day) == day - SLACK - SECOND


def test_the_newest_one_between_what_several_repositories_have() -> None:
    assert seconds(audit((HINT, 990, EVER)), audit((HINT, 100, 200), (HINT, 995, EVER))) == 989


def test_none_is_before_all_times() -> None:
    assert seconds(audit((PROOF, 0, EVER))) is None
    assert seconds(audit((HINT, 0, EVER))) is None
    assert seconds(audit((HINT, 1, EVER))) == 0


def test_the_worse_of_two_verdicts() -> None:
    order: tuple[Verdict, ...] = ("clean", "review", "suspect")
    assert [[worse(one, other) for one in order] for other in order] == [
        ["clean", "review", "suspect"],
        ["review", "review", "suspect"],
        ["suspect", "suspect", "suspect"],
    ]
