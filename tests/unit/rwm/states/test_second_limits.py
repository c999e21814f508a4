"""States of one second: one account leaves room for the others."""

from __future__ import annotations

from rwm.states.second_limits import MAX_OF_LOCATION, MAX_OF_TOP_DIRECTORY, SecondLimits

T = 1_700_000_000_000


def test_a_location_has_a_limit_for_each_second() -> None:
    limits = SecondLimits([])
    for _ in range(MAX_OF_LOCATION):
        assert limits.has_room("host1/", T)
        limits.add("host1/", T)
    assert not limits.has_room("host1/", T)
    assert limits.has_room("host1/", T + 1000) and limits.has_room("host2/", T) and limits.has_room("", T)


def test_prefixes_below_one_directory_have_a_limit_together() -> None:
    limits = SecondLimits([])
    for number in range(MAX_OF_TOP_DIRECTORY):
        assert limits.has_room(f"host1/{number}/", T)
        limits.add(f"host1/{number}/", T)
    assert not limits.has_room("host1/other/", T)
    assert limits.has_room("host10/", T) and limits.has_room("", T)
