"""Outcome and exit code of a run."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rwm.backup.quick_audit import QuickAudit
from rwm.backup.report import BackupResult, Report, combine_outcomes
from rwm.model import Outcome
from rwm.restic.run import Result

every = st.sampled_from(["ok", "partial", "failed"])


@given(outcomes=st.lists(every, max_size=5))
def test_combined_outcomes(outcomes: list[Outcome]) -> None:
    found = combine_outcomes(outcomes)
    assert (found == "ok") == (bool(outcomes) and all(outcome == "ok" for outcome in outcomes))
    assert (found == "failed") == all(outcome == "failed" for outcome in outcomes)


@given(
    outcomes=st.lists(every, min_size=1, max_size=4),
    forget=st.none() | every,
    errors=st.lists(st.just("no state was captured"), max_size=1),
    is_versioned=st.sampled_from([True, False, None]),
    proofs=st.sampled_from([None, 0, 2]),
)
def test_the_exit_code_is_0_only_if_everything_succeeded_in_a_safe_bucket(
    outcomes: list[Outcome], forget: Outcome | None, errors: list[str], is_versioned: bool | None, proofs: int | None
) -> None:
    backups = [BackupResult(str(n), outcome, 0, 0.0) for n, outcome in enumerate(outcomes)]
    report = Report(backups, Result(forget, 0, "") if forget else None, None, [], errors)
    report.is_versioned = is_versioned
    report.audit = None if proofs is None else QuickAudit("suspect" if proofs else "clean", True, proofs, 3)
    is_safe = is_versioned is not False and not proofs
    all_done = set(outcomes) == {"ok"} and forget in (None, "ok") and not errors and is_safe
    assert (report.exit_code == 0) == all_done
    assert (report.exit_code == 1) == (set(outcomes) == {"failed"})
    assert (report.exit_code == 4) == (set(outcomes) != {"failed"} and not is_safe)
    assert report.exit_code in (0, 1, 3, 4)
