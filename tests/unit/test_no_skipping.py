"""A test that does not run, or may fail, is a failed one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests import conftest


def reported(hook: Any, report: SimpleNamespace) -> SimpleNamespace:
    """What the hook makes of a report."""
    where = SimpleNamespace(nodeid="here")
    arguments = (where,) if hook is conftest.pytest_make_collect_report else (where, SimpleNamespace(excinfo=None))
    running = hook(*arguments)
    next(running)
    with pytest.raises(StopIteration) as end:
        running.send(report)
    result: SimpleNamespace = end.value.value
    return result


@pytest.mark.parametrize("more", [{}, {"wasxfail": "reason"}], ids=["skipped", "expected to fail"])
@pytest.mark.parametrize("hook", [conftest.pytest_runtest_makereport, conftest.pytest_make_collect_report])
def test_a_skipped_test_or_module_has_failed(hook: Any, more: dict[str, str]) -> None:
    report = reported(hook, SimpleNamespace(skipped=True, outcome="skipped", longrepr="why", **more))
    assert report.outcome == "failed"
    assert "here was skipped, which counts as failed" in report.longrepr


@pytest.mark.parametrize("hook", [conftest.pytest_runtest_makereport, conftest.pytest_make_collect_report])
def test_all_else_is_as_it_is(hook: Any) -> None:
    report = reported(hook, SimpleNamespace(skipped=False, outcome="passed", longrepr=None))
    assert report.outcome == "passed"
