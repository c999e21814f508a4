"""When restic held locks, as far as the history tells."""

from __future__ import annotations

from collections.abc import Sequence
from unittest.mock import patch

import pytest

from rwm.model import ObjectVersion
from rwm.trust import evidence
from rwm.trust.evidence import REFRESH, SLACK, STALE, LockHistory, LockState, Times
from rwm.trust.intervals import Intervals

START = 1_800_000_000_000
MINUTE = 60_000


def lock(name: str, *events: int) -> list[ObjectVersion]:
    """A lock's entries, oldest first: a positive time writes, a negative one removes."""
    return [
        ObjectVersion(f"locks/{name}", f"v{number}", False, event < 0, 0, "", START + abs(event))
        for number, event in enumerate(events)
    ]


def history(*locks: list[ObjectVersion], captured: Sequence[Intervals] = ()) -> LockHistory:
    result = LockHistory(captured)
    for entries in locks:
        result.add(entries)
    return result


ONE = history(lock("a", 10 * MINUTE, -20 * MINUTE))


@pytest.mark.parametrize(
    ("time", "state"),
    [
        (10 * MINUTE - SLACK - 1000, "unknown"),  # an older lock may have been pruned
        (10 * MINUTE - SLACK, "held"),
        (10 * MINUTE, "held"),
        (15 * MINUTE, "held"),
        (20 * MINUTE, "held"),
        (20 * MINUTE + SLACK, "held"),
        (20 * MINUTE + SLACK + 1000, "none"),
        (10**9, "none"),
    ],
)
def test_around_a_lock(time: int, state: LockState) -> None:
    assert ONE.state(START + time) == state


def test_an_operation_may_go_on_until_it_has_to_renew_its_lock() -> None:
    removed = history(lock("a", 0, -MINUTE))
    assert removed.state(START + MINUTE + SLACK + 1000) == "recent"
    assert removed.state(START + REFRESH + SLACK) == "recent"
    assert removed.state(START + REFRESH + SLACK + 1000) == "none"


def test_a_lock_that_is_not_renewed_becomes_stale() -> None:
    left = history(lock("a", 0))
    assert not left.is_stale(START + STALE)
    assert left.is_stale(START + STALE + SLACK + 1000)
    assert not history(lock("a", 0), lock("b", 10 * STALE)).is_stale(START + 10 * STALE + 1)


def test_a_lock_that_stays_is_held_for_ever() -> None:
    assert history(lock("a", MINUTE)).state(START + 10**12) == "held"


def test_without_any_lock_nothing_is_known() -> None:
    empty = history()
    assert empty.is_empty
    assert empty.state(START) == "unknown"


def test_what_was_before_the_oldest_lock_is_unknown() -> None:
    assert ONE.state(START) == "unknown"
    later = history(lock("a", 10 * MINUTE, -20 * MINUTE), lock("b", -1))
    assert later.state(START - 5000) == "held"  # the lock of this marker may have been held then


def captured(*seconds: int) -> list[Intervals]:
    """Captures at these times."""
    times = Intervals()
    for second in seconds:
        times.add(START + second, START + second)
    return [times]


def test_a_lock_that_may_be_kept_for_a_state_does_not_show_that_later_ones_are_left() -> None:
    first, second = lock("a", 10 * MINUTE, -20 * MINUTE), lock("b", 60 * MINUTE, -61 * MINUTE)
    kept = history(first, captured=captured(15 * MINUTE))
    assert kept.state(START + 15 * MINUTE) == "held"
    assert kept.state(START + 30 * MINUTE) == "unknown", "another program may have deleted newer locks"
    assert not kept.is_empty
    kept.add(second)
    assert not kept.is_known(START + 50 * MINUTE) and kept.is_known(START + 60 * MINUTE)
    assert kept.state(START + 70 * MINUTE) == "none"
    assert kept.lone_lock(START + 15 * MINUTE) is None, "others of its time may be gone"
    assert kept.lone_lock(START + 60 * MINUTE) is not None
    assert kept.oldest_end == START + 61 * MINUTE


def test_a_lock_that_no_capture_saw_shows_that_later_ones_are_left() -> None:
    beside = captured(9 * MINUTE, 21 * MINUTE)
    assert history(lock("a", 10 * MINUTE, -20 * MINUTE), captured=beside).state(START + 30 * MINUTE) == "none"


def test_a_lock_written_twice_is_held_from_the_first_time_on() -> None:
    twice = history(lock("a", 0, 1000, -MINUTE), lock("b", 60 * MINUTE, -61 * MINUTE, 70 * MINUTE, -71 * MINUTE))
    assert twice.session(START + 30_000) == (START - SLACK, START + MINUTE + SLACK + 999)
    assert twice.state(START + 66 * MINUTE) == "none"
    assert twice.state(START + 70 * MINUTE + 1) == "held"


def test_the_only_lock_of_its_time() -> None:
    alone = lock("a", 0, -10 * MINUTE)
    assert history(alone).lone_lock(START + MINUTE) == (START, START + 10 * MINUTE)
    assert history(alone).lone_lock(START + 60 * MINUTE) is None
    assert history(alone, lock("b", 9 * MINUTE, -20 * MINUTE)).lone_lock(START + MINUTE) is None
    assert history(alone, lock("b", 30 * MINUTE, -31 * MINUTE)).lone_lock(START + MINUTE) is not None


def backups(*times: int) -> Times:
    """Times at which snapshots were written."""
    result = Times()
    for time in times:
        result.add(START + time)
    return result


def test_after_a_backup_that_ended_no_operation_goes_on() -> None:
    """What is removed then is no continued prune whose lock was taken away."""
    one = history(lock("a", 0, -MINUTE))
    one.snapshots = backups(MINUTE - 5)
    assert one.is_after_backups(START + 2 * MINUTE)
    one.snapshots = backups(2 * MINUTE)
    assert not one.is_after_backups(START + 2 * MINUTE)
    beside = history(lock("a", 0, -MINUTE), lock("b", 2 * MINUTE, -2 * MINUTE - 1000))
    beside.snapshots = backups(MINUTE - 5)
    assert not beside.is_after_backups(START + 3 * MINUTE)
    assert beside.is_after_backups(START + MINUTE + 1)


def after_a_backup(snapshot: int, *, lock_start: int = 0, end: int = MINUTE, at: int = 2 * MINUTE) -> bool:
    """Whether an operation goes on no longer, by a lock of one backup; times after START."""
    one = history(lock("a", lock_start, -end) if end else lock("a", lock_start))
    one.snapshots = backups(snapshot)
    return one.is_after_backups(START + at)


def test_the_snapshot_is_written_under_the_lock_of_its_backup() -> None:
    jitter = evidence._JITTER
    assert after_a_backup(0)
    assert after_a_backup(MINUTE + jitter), "two gateways of a server differ"
    assert not after_a_backup(MINUTE + jitter + 1)
    assert not after_a_backup(-1, lock_start=0)


def test_a_lock_that_stays_is_of_an_operation_that_may_go_on() -> None:
    assert not after_a_backup(30_000, end=0)


def test_locks_count_for_as_long_as_their_operation_may_go_on() -> None:
    assert not after_a_backup(-MINUTE, at=REFRESH + SLACK)
    assert after_a_backup(-MINUTE, at=REFRESH + SLACK + 1)


def test_all_locks_of_backups_count_in_any_order() -> None:
    many = [lock(f"{number}", number, -number - 1) for number in range(evidence._MAX_COMPARED + 1)]
    for locks, is_after in ((many[1:], True), (many, False)):
        for order in (locks, locks[::-1]):
            found = history(*order)
            found.snapshots = backups(*range(1, len(many) + 1))
            assert found.is_after_backups(START + MINUTE) is is_after
    newest_first = history(lock("b", 10 * MINUTE, -11 * MINUTE), lock("a", 0, -MINUTE))
    newest_first.snapshots = backups(30_000)
    assert not newest_first.is_after_backups(START + 11 * MINUTE)
    prune_first = history(lock("b", 2 * MINUTE, -3 * MINUTE), lock("a", MINUTE, -MINUTE - 1))
    prune_first.snapshots = backups(2 * MINUTE + 1)
    assert not prune_first.is_after_backups(START + 4 * MINUTE)


def test_of_too_many_locks_nothing_is_known_of_backups() -> None:
    with patch.object(evidence, "MAX_DISJOINT", 1):
        many = history(lock("a", 0, -MINUTE), lock("b", 10, -MINUTE))
    many.snapshots = backups(20)
    assert not many.is_after_backups(START + MINUTE)


def test_times_in_any_order() -> None:
    times = Times()
    for time in (5, 1, 9, 5):
        times.add(time)
    assert list(times) == [1, 5, 5, 9]
    assert len(times) == 4
    assert times.count_in(5, 9) == 3
    assert times.count_until(4) == 1
    assert not times.any_in(6, 8)
    assert times.any_in(1, 1)


def test_of_too_many_locks_none_counts_as_the_only_one() -> None:
    lives = [lock(f"{number}", number * 60 * MINUTE, -(number * 60 + 1) * MINUTE) for number in range(1, 5)]
    assert history(*lives).lone_lock(START + 60 * MINUTE) == (START + 60 * MINUTE, START + 61 * MINUTE)
    with patch.object(evidence, "MAX_DISJOINT", 3):
        many = history(*lives)
    assert many.state(START + 3 * 60 * MINUTE) == "held"
    assert many.lone_lock(START + 3 * 60 * MINUTE) is None, "another one may have been left out"
    assert many.closed_since == START + 3 * 60 * MINUTE
    assert many.lone_lock(START + 60 * MINUTE) is not None, "the newest ones are left out"
