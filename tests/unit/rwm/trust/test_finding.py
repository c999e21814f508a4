"""The log of findings: counts, what is listed, acknowledgements, and when states contain a consequence."""

from __future__ import annotations

from rwm.model import Acknowledgement
from rwm.trust.finding import IN_NO_STATE, MAX_LISTED, Finding, FindingLog, Rule
from rwm.trust.intervals import FOREVER
from rwm.trust.verdict import verdict_at

PROOF = Rule("a-proof", "proof", "what", "why")
HINT = Rule("a-hint", "hint", "what", "why")


def finding(rule: Rule = PROOF, at: int = 10_000, end: int = FOREVER, key: str = "k") -> Finding:
    return Finding(rule, "", key, "v", at, "detail", at, end)


def test_the_id_depends_on_what_was_found_alone() -> None:
    assert finding().id == finding()._replace(detail="other", end=5).id
    others = {finding(HINT).id, finding(at=1).id, finding(key="l").id, finding()._replace(root="r").id}
    assert len(others | {finding().id}) == 5
    assert len(finding(key="\ud800").id) == 12


def test_all_are_counted_and_the_first_are_listed() -> None:
    log = FindingLog()
    for number in range(MAX_LISTED + 5):
        log.add(finding(at=number * 1000))
    assert (log.counts, log.proofs, log.first_proof) == ({"a-proof": MAX_LISTED + 5}, MAX_LISTED + 5, 0)
    assert log.last_proof == (MAX_LISTED + 4) * 1000
    assert len(list(log.listed())) == MAX_LISTED


def test_states_contain_a_consequence_from_its_second_until_it_ends() -> None:
    log = FindingLog()
    log.add(finding(at=10_500, end=20_500))
    verdicts = {second: verdict_at(second * 1000, [log]) for second in (9, 10, 19, 20)}
    assert verdicts == {9: "clean", 10: "suspect", 19: "suspect", 20: "clean"}


def test_what_is_over_in_its_second_is_in_no_state() -> None:
    log = FindingLog()
    log.add(finding(at=10_100, end=10_900))
    assert (log.proofs, verdict_at(10_000, [log])) == (1, "clean")


def test_what_is_over_in_the_next_second_is_in_one_state() -> None:
    log = FindingLog()
    log.add(finding(at=10_900, end=11_000))
    assert [verdict_at(time, [log]) for time in (9_999, 10_000, 11_000)] == ["clean", "suspect", "clean"]


def test_what_is_in_no_state_is_a_proof_all_the_same() -> None:
    log = FindingLog()
    log.add(Finding(PROOF, "", "k", "v", 10_000, "detail", *IN_NO_STATE))
    assert (log.first_proof, list(log.suspect)) == (10_000, [])


def test_a_hint_asks_for_a_review_and_a_proof_outweighs_it() -> None:
    log = FindingLog()
    log.add(finding(HINT))
    assert verdict_at(10_000, [log]) == "review"
    log.add(finding(PROOF, at=12_000))
    assert [verdict_at(time, [log]) for time in (11_000, 12_000)] == ["review", "suspect"]


def test_acknowledged_findings_stay_and_count_no_longer() -> None:
    for what in ("a-proof", finding().id):
        log = FindingLog({what: Acknowledgement(what, 10_000, 0, "note")})
        log.add(finding())
        assert (log.proofs, log.counts, verdict_at(10_000, [log])) == (0, {"a-proof": 1}, "clean")
    log = FindingLog({"a-proof": Acknowledgement("a-proof", 9_999, 0, "note")})
    log.add(finding())
    assert log.proofs == 1, "it is later than the acknowledgement"


def test_the_last_moment_that_is_judged() -> None:
    log = FindingLog(until=10_000)
    log.add(finding(at=10_000))
    assert log.proofs == 1


def test_excepted_codes_and_later_times_are_ignored() -> None:
    for log in (FindingLog(except_codes=frozenset({"a-proof"})), FindingLog(until=9_999)):
        log.add(finding())
        assert (log.counts, log.proofs, verdict_at(10_000, [log])) == ({}, 0, "clean")
