"""The measurement of state restores."""

from __future__ import annotations

from bench.state_restore import HEADERS, PIT, RWM, SERIAL, Run, rows


def test_ratios_are_to_both_peers() -> None:
    cells = rows(100, {SERIAL: Run(10, 1), PIT: Run(5, 2), RWM: Run(2, 1, 3)})
    assert cells[-1] == (RWM, "2.00", "50", "1.0", "3.0", "5.00", "2.50")
    assert {len(row) for row in cells} == {len(HEADERS)}
