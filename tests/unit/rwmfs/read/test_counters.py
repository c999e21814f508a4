"""The counters of a mount."""

from __future__ import annotations

from rwmfs.read.counters import Counters


def test_the_hit_rate_is_the_part_that_was_not_missed() -> None:
    assert Counters().hit_rate == 1
    assert Counters(served=100, missed=25).hit_rate == 0.75
    assert Counters(served=100, missed=100).hit_rate == 0


def test_all_counters_on_one_line() -> None:
    mib = 1 << 20
    counters = Counters(10 * mib, 8 * mib, 3, 2 * mib, 5 * mib, mib // 2, 4, 1)
    assert counters.line() == (
        "served 10.0 MiB, fetched 8.0 MiB in 3 requests, from disk 2.0 MiB, wasted 0.5 MiB, hit rate 50.0%, "
        "4 retried, 1 failed"
    )
