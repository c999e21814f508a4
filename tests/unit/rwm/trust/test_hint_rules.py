"""The hints about a repository's size: what lasted for a day counts, not what was there while files were replaced."""

from __future__ import annotations

from rwm.times import DAY, HOUR
from rwm.trust.activity import Activity
from rwm.trust.evidence import LockHistory
from rwm.trust.hint_rules import shrunk

BEGIN = 1000 * DAY


def shrunk_at(*changes: tuple[int, int]) -> list[tuple[int, int]]:
    """(start, end) in hours of the findings, of packs written (bytes) and removed (negative) in some hours."""
    activity = Activity(LockHistory(), BEGIN + 1000 * HOUR)
    for hour, size in changes:
        at = BEGIN + hour * HOUR
        if size < 0:
            activity.remove_pack(at, -size)
        else:
            activity.write_pack(at, size)
    return [((item.start - BEGIN) // HOUR, (item.end - BEGIN) // HOUR) for item in shrunk("", activity)]


def test_less_than_half_of_what_there_was_for_a_day() -> None:
    (found,) = shrunk_at((0, 60), (10, 40), (40, -51))
    assert found[0] == 40
    assert shrunk_at((0, 60), (10, 40), (40, -50)) == []
    assert shrunk_at((0, 60), (10, 40), (40, -60), (50, 10)) == [(40, 50)]


def test_also_in_steps_and_on_the_first_day() -> None:
    (found,) = shrunk_at((0, 100), (5, -20), (10, -20), (15, -20), (20, -20))
    assert found[0] == 15


def test_a_backup_that_is_replaced_by_a_smaller_one_within_a_day() -> None:
    """`forget --keep-last 1 --prune` after a backup, in the next hour: the packs of both were there meanwhile."""
    assert shrunk_at((0, 100), (48, 99), (49, -100), (96, 98), (97, -99)) == []
    assert shrunk_at(*((48 + hour, 10) for hour in range(10)), (47, 100), (58, -101)) == []


def test_what_comes_later_changes_nothing() -> None:
    before = ((0, 100), (30, 50), (60, -80))
    assert shrunk_at(*before)[0][0] == shrunk_at(*before, (100, 1000), (130, -900))[0][0] == 60
