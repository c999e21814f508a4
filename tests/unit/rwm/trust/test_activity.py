"""What was written and removed, by hour and by session, against a plain count."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from rwm.model import ObjectVersion
from rwm.times import HOUR
from rwm.trust import activity
from rwm.trust.activity import Activity
from rwm.trust.evidence import LockHistory

START = 1_767_225_600_000
NOW = START + 1000 * HOUR
TIMES = st.integers(START, NOW)


def lock(start: int, end: int) -> list[ObjectVersion]:
    return [
        ObjectVersion("locks/x", "1", False, False, 135, "e", start),
        ObjectVersion("locks/x", "2", True, True, 0, "", end),
    ]


@given(st.lists(st.tuples(TIMES, st.integers(0, 1000), st.integers(0, 100))))
def test_hours_have_what_was_written_and_removed(packs: list[tuple[int, int, int]]) -> None:
    counted = Activity(LockHistory(), NOW)
    added: Counter[int] = Counter()
    change: Counter[int] = Counter()
    for written, size, hours in packs:
        removed = min(NOW, written + hours * HOUR)
        counted.write_pack(written, size)
        counted.remove_pack(removed, size)
        added[written // HOUR * HOUR] += 1
        change[written // HOUR * HOUR] += size
        change[removed // HOUR * HOUR] -= size
    found, totals = list(counted.hours()), list(counted.totals())
    assert [hour.start for hour in found] == sorted(change)
    assert {hour.start: hour.added for hour in found if hour.added} == added
    assert {hour.start: hour.added_bytes - hour.removed_bytes for hour in found} == change
    assert not totals or totals[-1][2] == 0


def test_sessions_have_the_packs_that_were_written_under_their_locks() -> None:
    locks = LockHistory()
    for number in range(3):
        locks.add(lock(START + number * HOUR, START + number * HOUR + 60_000))
    counted = Activity(locks, NOW)
    counted.write_pack(START + 2000, 10)
    counted.write_pack(START + 1000, 20)
    counted.write_pack(START + HOUR // 2, 40)  # under no lock
    counted.write_pack(START + 2 * HOUR + 1000, 80)
    assert counted.sessions() == [(START + 1000, 30), (START + 2 * HOUR + 1000, 80)]
    assert counted.written_since(START + HOUR) == 80


def test_without_locks_bytes_are_counted_by_the_hour() -> None:
    counted = Activity(LockHistory(), NOW)
    counted.write_pack(START, 1)
    counted.write_pack(START + HOUR, 2)
    counted.write_pack(NOW, 4)
    assert [counted.written_since(START + part) for part in (0, 1, HOUR, HOUR + 1)] == [7, 6, 6, 4]


def test_times_outside_count_as_of_the_oldest_and_the_newest_hour() -> None:
    with patch.object(activity, "_MAX_HOURS", 10):
        counted = Activity(LockHistory(), NOW)
        for time in (0, NOW - 100 * HOUR, NOW + 5 * HOUR):
            counted.write_pack(time, 1)
    assert [(hour.start, hour.added) for hour in counted.hours()] == [(NOW - 10 * HOUR, 2), (NOW, 1)]


def test_what_is_newer_than_the_audit_counts_in_its_hour() -> None:
    """Also if it is the first that is seen: restic wrote it while the audit listed."""
    counted = Activity(LockHistory(), NOW)
    counted.write_pack(NOW + 2 * HOUR, 7)
    assert [hour.added_bytes for hour in counted.hours()] == [7]


def test_an_hour_takes_little_more_than_its_columns() -> None:
    """Of 16 years of backups each hour, 140,000, an object for each hour took 26 MB."""
    hours = 20_000
    tracemalloc.start()
    counted = Activity(LockHistory(), NOW)
    for number in range(hours):
        counted.write_file(NOW - number * HOUR, 1)
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert taken < 90 * hours
    assert len(list(counted.hours())) == hours
