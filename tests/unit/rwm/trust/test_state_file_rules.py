"""The rules about state files."""

from __future__ import annotations

from rwm.model import ObjectVersion, StateInfo
from rwm.statefile.canonical import file_key
from rwm.trust.finding import Finding
from rwm.trust.state_file_rules import judge_state_file

INFO = StateInfo("ab" * 32, "bucket1", 1_700_000_000_000, "backup", 1, 155)
KEY = file_key(INFO)
A, B = "0" * 32, "1" * 32


def findings(*versions: tuple[int, str | None], key: str = KEY) -> list[Finding]:
    """Versions by seconds after the time of the state, with their ETags; None is a marker."""
    entries = [
        ObjectVersion(key, f"v{n}", False, etag is None, 0 if etag is None else 10, etag or "", INFO.captured_at + time)
        for n, (time, etag) in enumerate((seconds * 1000, etag) for seconds, etag in versions)
    ]
    return list(judge_state_file(entries))


def codes(*versions: tuple[int, str | None], key: str = KEY) -> set[str]:
    return {finding.rule.code for finding in findings(*versions, key=key)}


def test_a_file_that_is_written_once_after_its_state() -> None:
    assert codes((2, A)) == codes((2, A), (3, A)) == set()


def test_removed() -> None:
    assert codes((2, A), (100, None)) == {"removed-state-file"}
    assert codes((2, None)) == set()
    assert codes((2, None), (3, None), (4, A)) == set()
    assert len(findings((2, A), (3, None), (4, None), (5, A), (6, None))) == 2


def test_overwritten() -> None:
    assert codes((2, A), (100, B)) == {"overwritten-state-file"}
    (finding,) = findings((2, A), (100, B), (200, A))
    assert (finding.version_id, finding.at) == ("v1", INFO.captured_at + 100_000)


def test_written_before_its_time() -> None:
    assert codes((-7200, A)) == codes((-7200, A), (2, A)) == {"forged-state-file"}
    assert codes((-3600, A)) == set(), "the clocks of two gateways differ"
    assert codes((-3601, A)) == {"forged-state-file"}


def test_other_names_are_ignored() -> None:
    assert codes((2, A), (3, None), key="rwm/states/notes.txt") == set()
