"""Which locks, indexes and key files a prune keeps, because the audit judges by them what stays."""

from __future__ import annotations

import pytest

from rwm.model import ObjectVersion
from rwm.trust.evidence import REFRESH, SLACK
from rwm.trust.intervals import Intervals
from rwm.trust.kept_evidence import SUCCEEDED, KeptEvidence
from rwm.trust.names import Kind

START = 1_800_000_000_000
MINUTE = 60_000
HOUR = 60 * MINUTE


def entries(key: str, *events: int) -> list[ObjectVersion]:
    """The entries of a key, oldest first, by times after START: a positive one writes, a negative one removes."""
    return [
        ObjectVersion(key, f"v{number}", False, event < 0, 0, "", START + abs(event))
        for number, event in enumerate(events)
    ]


def evidence(*locks: list[ObjectVersion]) -> KeptEvidence:
    result = KeptEvidence()
    for lock in locks:
        result.add_lock(lock)
    return result


OLDEST = entries("locks/0", MINUTE, -(MINUTE + 1))
LOCK = entries("locks/a", HOUR, -(HOUR + 10 * MINUTE))


def needs_lock_for(removal: int, *others: list[ObjectVersion]) -> bool:
    """Whether LOCK has to stay, beside others, because the marker of a pack that was removed at a time stays."""
    kept = evidence(OLDEST, LOCK, *others)
    kept.add_staying(Kind.DATA, entries("data/p", 1, -removal))
    return kept.needs_lock(LOCK)


@pytest.mark.parametrize(
    ("removal", "is_needed"),
    [
        (HOUR - MINUTE, False),
        (HOUR - SLACK, True),  # times of one server may be wrong by as much
        (HOUR + MINUTE, True),
        (HOUR + 10 * MINUTE + SLACK, True),
        (HOUR + 11 * MINUTE, False),
    ],
)
def test_a_lock_stays_with_a_removal_that_it_covers(removal: int, is_needed: bool) -> None:
    assert needs_lock_for(removal) is is_needed


def test_the_oldest_lock_stays() -> None:
    """What is older is not judged: a removal without a lock would cease to be a proof."""
    later = entries("locks/b", 5 * HOUR, -(5 * HOUR + MINUTE))
    kept = evidence(later, LOCK)
    assert kept.needs_lock(LOCK) and not kept.needs_lock(later)


def test_a_lock_that_may_be_kept_for_a_state_is_not_the_oldest_one() -> None:
    captured = Intervals()
    captured.add(START + HOUR, START + HOUR)
    kept, later = KeptEvidence([captured]), entries("locks/b", 5 * HOUR, -(5 * HOUR + MINUTE))
    kept.add_lock(LOCK)
    assert not kept.needs_lock(LOCK), "none shows that later ones are left"
    kept.add_lock(later)
    assert kept.needs_lock(later) and not kept.needs_lock(LOCK)


def test_all_locks_of_a_session_stay() -> None:
    """The audit asks for the whole session: whether a backup, or an index removal, was in it."""
    before = entries("locks/b", HOUR - 10 * MINUTE, -(HOUR + MINUTE))
    after = entries("locks/c", HOUR + 9 * MINUTE, -(HOUR + 30 * MINUTE))
    assert needs_lock_for(HOUR - 9 * MINUTE, before)
    assert needs_lock_for(HOUR + 29 * MINUTE, after)
    assert not needs_lock_for(HOUR + 29 * MINUTE, before)


def test_a_lock_stays_with_a_removal_shortly_after_it() -> None:
    """`unlock --remove-all` took the lock away: without it, the late removal would be a proof."""
    short = entries("locks/a", HOUR, -(HOUR + 1))
    for removal, is_needed in ((HOUR + REFRESH + SLACK, True), (HOUR + REFRESH + SLACK + 1, False)):
        kept = evidence(OLDEST, short)
        kept.add_staying(Kind.SNAPSHOTS, entries("snapshots/s", 1, -removal))
        assert kept.needs_lock(short) is is_needed


def test_a_lock_stays_with_a_config_that_was_written_again() -> None:
    within = HOUR + MINUTE
    for events, is_needed in (((within,), False), ((1, within), True), ((1, -within), True)):
        kept = evidence(OLDEST, LOCK)
        kept.add_staying(Kind.CONFIG, entries("config", *events))
        assert kept.needs_lock(LOCK) is is_needed, events


def test_what_removed_nothing_that_stays_needs_no_lock() -> None:
    kept = evidence(OLDEST, LOCK)
    kept.add_staying(Kind.DATA, entries("data/written", HOUR + MINUTE))
    kept.add_staying(Kind.DATA, entries("data/version-is-gone", -(HOUR + MINUTE)))
    kept.add_staying(Kind.DATA, [])
    assert not kept.needs_lock(LOCK)


def test_a_lock_of_which_only_the_marker_is_left_can_go() -> None:
    kept = evidence(LOCK)
    kept.add_staying(Kind.DATA, entries("data/p", 1, -(HOUR + MINUTE)))
    assert not kept.needs_lock(entries("locks/b", -(HOUR + MINUTE)))


REMOVED = 10 * HOUR


def successors_of(removed: list[ObjectVersion], *doomed: list[ObjectVersion], kind: Kind = Kind.INDEX) -> set[str]:
    """Which doomed files have to stay beside a removed one."""
    kept = KeptEvidence()
    kept.add_staying(kind, removed)
    return kept.keep_successors(kind, doomed)


@pytest.mark.parametrize("kind", SUCCEEDED)
def test_one_that_was_left_at_a_removal_stays(kind: Kind) -> None:
    removed = entries("old", 1, -REMOVED)
    assert successors_of(removed, entries("new", REMOVED - 1, -20 * HOUR), kind=kind) == {"new"}


@pytest.mark.parametrize(
    ("written", "until", "is_left"),
    [
        (1, REMOVED - MINUTE, False),
        (1, REMOVED + SLACK, False),  # removed with the other one: the audit asks for one that was left
        (1, REMOVED + SLACK + 1, True),
        (REMOVED + SLACK, REMOVED + HOUR, True),  # times of one server may be wrong by as much
        (REMOVED + SLACK + 1, REMOVED + HOUR, False),
    ],
)
def test_only_one_that_was_there_is_left(written: int, until: int, is_left: bool) -> None:
    found = successors_of(entries("old", 1, -REMOVED), entries("new", written, -until))
    assert found == ({"new"} if is_left else set())


def test_one_that_stays_anyway_is_enough() -> None:
    kept = KeptEvidence()
    kept.add_staying(Kind.INDEX, entries("old", 1, -REMOVED))
    kept.add_staying(Kind.INDEX, entries("current", REMOVED + SLACK))
    assert kept.keep_successors(Kind.INDEX, [entries("new", REMOVED - 1, -20 * HOUR)]) == set()
    assert kept.keep_successors(Kind.KEYS, [entries("key", 1, -20 * HOUR)]) == set(), "no key file was removed"


def test_the_one_that_was_left_for_longest_stays() -> None:
    short, long = entries("short", 1, -11 * HOUR), entries("long", 2, -12 * HOUR)
    longest = entries("for-ever", 3)
    for order in ((short, long, longest), (longest, long, short)):
        assert successors_of(entries("old", 1, -REMOVED), *order) == {"for-ever"}
    assert successors_of(entries("old", 1, -REMOVED), short, long) == {"long"}
    again = entries("again", 2, REMOVED + HOUR // 2, -13 * HOUR)  # written a second time, which ends nothing
    assert successors_of(entries("old", 1, -REMOVED), again, long) == {"again"}


def test_a_successor_needs_one_too() -> None:
    """Its marker stays with it."""
    chain = [entries(f"index/{n}", n * HOUR - MINUTE, -(n + 1) * HOUR) for n in range(11, 15)]
    first = entries("index/10", REMOVED - MINUTE, -11 * HOUR)
    assert successors_of(first, *chain[:1]) == {"index/11"}
    assert successors_of(first, *chain) == {"index/11", "index/12", "index/13", "index/14"}


def test_locks_stay_with_the_marker_of_a_successor() -> None:
    lock = entries("locks/b", 20 * HOUR - MINUTE, -(20 * HOUR + MINUTE))
    kept = evidence(OLDEST, lock)
    kept.add_staying(Kind.INDEX, entries("old", 1, -REMOVED))
    assert not kept.needs_lock(lock)
    kept.keep_successors(Kind.INDEX, [entries("new", REMOVED - 1, -20 * HOUR)])
    assert kept.needs_lock(lock)
