"""When states were captured, as far as the listing of their files tells."""

from __future__ import annotations

import pytest

from rwm.model import ObjectVersion
from rwm.times import SECOND, iso
from rwm.trust.captures import CLOCKS, LONGEST, Captures

START = 1_800_000_000_000
MINUTE = 60 * SECOND


def state_file(*written: int, prefix: str = "", second: int = 0) -> list[ObjectVersion]:
    """The entries of the file of a state as of a second, oldest first, by times after START; a marker if negative."""
    key = f"{prefix}rwm/states/{iso(START + second)}-{'0' * 64}.jsonl.gz"
    return [
        ObjectVersion(key, f"v{number}", False, event < 0, 0, "", START + abs(event))
        for number, event in enumerate(written)
    ]


def is_captured(entries: list[ObjectVersion], start: int, end: int, root: str = "") -> bool:
    """Whether a state may have what was there from a time to another."""
    captures = Captures()
    captures.add(entries)
    return any(times.overlaps(START + start, START + end) for times in captures.of(root))


def test_a_state_has_what_was_there_at_the_end_of_its_second_and_what_came_until_it_was_written() -> None:
    entries = state_file(MINUTE)
    assert not is_captured(entries, -MINUTE, 999)
    assert is_captured(entries, -MINUTE, SECOND)
    assert is_captured(entries, MINUTE + SECOND, 2 * MINUTE)
    assert not is_captured(entries, MINUTE + 2 * SECOND, 2 * MINUTE)


def test_the_first_version_of_a_file_tells_when_it_was_written() -> None:
    entries = state_file(MINUTE, -2 * MINUTE, 3 * MINUTE)
    assert is_captured(entries, 30 * SECOND, 40 * SECOND)
    assert not is_captured(entries, 2 * MINUTE, 3 * MINUTE)


@pytest.mark.parametrize(
    ("written", "counts"),
    [(-CLOCKS - 1, False), (-CLOCKS, True), (0, True), (LONGEST, True), (LONGEST + 1, False)],
)
def test_a_file_that_was_not_written_at_the_time_of_its_state_does_not_count(written: int, counts: bool) -> None:
    """Else whoever can write a file could make any lock of the past doubtful."""
    key = state_file(0)[0].key
    entries = [ObjectVersion(key, "v", True, False, 0, "", START + written)]
    assert is_captured(entries, SECOND, SECOND) is counts


def test_a_state_of_a_prefix_has_the_repositories_below_it() -> None:
    entries = state_file(MINUTE, prefix="host1/")
    for root, contains in (("host1/", True), ("host1/laptop/", True), ("", False), ("host2/", False)):
        assert is_captured(entries, SECOND, SECOND, root) is contains, root


def test_other_keys_and_removed_files_are_no_captures() -> None:
    assert not is_captured(state_file(-MINUTE), SECOND, SECOND)
    assert not is_captured([ObjectVersion("rwm/states/x", "v", True, False, 0, "", START)], SECOND, SECOND)
