"""The time limit of browsing commands."""

from __future__ import annotations

from bench import browsing
from bench.browsing import BrowseResult


def test_commands_expected_to_exceed_the_time_limit_are_skipped() -> None:
    before = BrowseResult(0.1, {"ls -lR": browsing.TIME_LIMIT / 10, "find": browsing.TIME_LIMIT / 10 + 1}, 1)
    assert browsing.feasible(before, 10) == ("ls -lR",)
    assert browsing.feasible(before, 1) == ("ls -lR", "find")
    assert browsing.feasible(BrowseResult(0.1, {}, 1), 1) == (), "what did not end is not tried again with more"


def test_a_command_that_exceeded_the_time_limit_has_no_ratio() -> None:
    assert browsing.figures(None, 2.0) == (f"> {browsing.TIME_LIMIT}", "-")
    assert browsing.figures(4.0, 2.0) == ("4.00", "2.00")
    assert browsing.figures(4.0, None) == ("4.00", "-")
