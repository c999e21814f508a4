"""Counters parsed from the log of a mount."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bench.mount_log import MountCounters, parse_counters
from bench.table import MIB
from rwmfs.read.counters import Counters

LOG_PREFIX = "2026-11-25 14:00:00,000 INFO rwmfs.mount.session: "


@given(st.lists(st.builds(Counters, *[st.integers(0, 10_000)] * 6), max_size=4))
def test_logged_counters_are_parsed(all_counters: list[Counters]) -> None:
    for counters in all_counters:
        for name in ("served", "fetched", "from_disk", "wasted"):
            setattr(counters, name, getattr(counters, name) * MIB)
    log = "".join(
        f"{LOG_PREFIX}{'unmounted /mnt/so far' if at % 2 else 'so far'}: {counters.line()}\n{LOG_PREFIX}something\n"
        for at, counters in enumerate(all_counters)
    )
    assert parse_counters(log) == [
        MountCounters(c.served, c.fetched, c.requests, c.from_disk, c.wasted) for c in all_counters
    ]


def test_since_is_the_difference_of_counters() -> None:
    assert MountCounters(10, 8, 3, 2, 1).since(MountCounters(4, 8, 1, 0, 1)) == MountCounters(6, 0, 2, 2, 0)
