"""Outcome and exit code of a run."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

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
)
def test_the_exit_code_is_0_only_if_everything_succeeded(
    outcomes: list[Outcome], forget: Outcome | None, errors: list[str]
) -> None:
    backups = [BackupResult(str(n), outcome, 0, 0.0) for n, outcome in enumerate(outcomes)]
    report = Report(backups, Result(forget, 0, "") if forget else None, None, [], errors)
    all_done = set(outcomes) == {"ok"} and forget in (None, "ok") and not errors
    assert (report.exit_code == 0) == all_done
    assert (report.exit_code == 1) == (set(outcomes) == {"failed"})
    assert report.exit_code in (0, 1, 3)
