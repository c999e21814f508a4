"""Every attack that leaves a trace in a listing is found, alone, in pairs, and however slow."""

from __future__ import annotations

import random
from itertools import combinations

import pytest

from rwm.model import Verdict
from rwm.times import DAY
from rwm.trust.captures import LONGEST
from rwm.trust.evidence import SLACK
from rwm.trust.finding import Finding
from rwm.trust.hint_rules import MIN_BACKUPS
from rwm.trust.verdict import verdict_at
from tests.histories.attacks import ATTACKS, Trace, attack
from tests.histories.generator import History, generate
from tests.histories.steps import run
from tests.unit.rwm.trust.auditing import audit_history, audit_repository

SEEDS = range(5)
RETENTION = {"keep-within": "90d"}
CLAIMS = "claim states beside all locks and delete packs"
PAIRS = random.Random(1).sample(list(combinations(sorted(ATTACKS), 2)), 150)


def usual_history(seed: int) -> History:
    """An honest history in which every repository has locks, and backups by which the usual is known."""
    history = generate(seed, operations=10, rustic=False)
    history.make_quiet()  # a lock that was left behind would keep backups away
    for _ in range(MIN_BACKUPS + 2):
        for repository in history.repositories:
            history.bucket.now += DAY // 2
            run(history.bucket, repository.unlock())  # a killed prune locks backups out
            run(history.bucket, repository.backup(5))  # more than a backup that is never large
    return history


def is_found(trace: Trace, findings: list[Finding]) -> bool:
    """Whether the audit says at least what is expected of an attack, about one of its keys or the repository."""
    if not trace.keys or trace.expected == "nothing":
        return True
    wanted = ("proof",) if trace.expected == "proof" else ("proof", "hint")
    return any(
        finding.rule.level in wanted
        and finding.at >= trace.at - SLACK
        and (finding.key in trace.keys or finding.key.endswith("/"))
        for finding in findings
    )


@pytest.mark.parametrize("name", sorted(ATTACKS))
def test_an_attack_is_found(name: str) -> None:
    for seed in SEEDS:
        history = usual_history(seed)
        trace = attack(history, name)
        findings = audit_history(history, RETENTION)
        assert is_found(trace, findings), f"seed {seed}: {trace.why}\n" + "\n".join([*history.log, *map(str, findings)])


@pytest.mark.parametrize("name", sorted(ATTACKS))
def test_an_attack_leaves_the_verdicts_on_the_past(name: str) -> None:
    """Else an attacker could hide the good states."""
    for seed in SEEDS:
        history = usual_history(seed)
        before = verdicts(history)
        attack(history, name)
        after = verdicts(history)
        changed = {key: (verdict, after[key]) for key, verdict in before.items() if after[key] != verdict}
        assert not changed, f"seed {seed}: {changed}\n" + "\n".join(history.log)


def verdicts(history: History) -> dict[tuple[str, int], Verdict]:
    """The verdict on each repository as of each event."""
    versions, now = history.versions, history.bucket.now
    times = sorted({version.last_modified for version in versions})
    audits = [audit_repository(versions, one.prefix, now, RETENTION) for one in history.repositories]
    return {(audit.root, time): verdict_at(time, [audit.log]) for audit in audits for time in times}


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_two_attacks_do_not_hide_each_other(first: str, second: str) -> None:
    history = usual_history(sum(map(ord, first + second)) % 1000)
    traces = [attack(history, first), attack(history, second)]
    findings = audit_history(history, RETENTION)
    for trace in traces:
        assert is_found(trace, findings), f"{trace.name}: {trace.why}\n" + "\n".join(history.log)


@pytest.mark.parametrize("age", [LONGEST // 2, 2 * LONGEST])
def test_state_files_about_the_past_make_only_the_newest_locks_doubtful(age: int) -> None:
    """After another program has deleted all older locks."""
    history = usual_history(1)
    history.rwm.capture()
    history.rwm.drop_versions(1)
    history.bucket.now += DAY
    for repository in history.repositories:
        run(history.bucket, repository.backup(3))
    attacked = history.repositories[0]
    trace = ATTACKS[CLAIMS](history.bucket, attacked, history.random, history.bucket.now + age)
    found = any(finding.rule.code == "unlocked-removal" for finding in audit_history(history))
    assert trace.keys and found is (age > LONGEST)
