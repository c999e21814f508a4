"""All rules in one pass."""

from __future__ import annotations

from rwm.trust.detector import AttackDetector
from rwm.trust.interface import KeyEvidence
from tests.unit.rwm.trust.histories import PACK, history, state


def test_an_honest_history_has_no_findings() -> None:
    detector = AttackDetector(state(50, "ok"), [])
    detector.observe(KeyEvidence(history("config", "x"), {"v1"}, in_newest=True))
    detector.observe(KeyEvidence(history(PACK, "x", None), set(), in_newest=False))
    assert detector.findings([state(100)]) == []


def test_findings_come_in_the_order_of_the_rules() -> None:
    detector = AttackDetector(state(1, "failed"), [])
    detector.observe(KeyEvidence(history("config", "x", None), set(), in_newest=False))
    detector.observe(KeyEvidence(history(PACK, "x", "y"), {"v1"}, in_newest=True))
    words = ("overwritten", "has no config", "backup that failed", "which this would end")
    found = detector.findings(info for info in [state(100)])
    assert [word in finding for word, finding in zip(words, found, strict=True)] == [True] * 4
