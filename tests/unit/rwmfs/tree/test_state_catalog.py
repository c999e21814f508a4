"""The names of states in a mount of all states: ids, id prefixes, times."""

from __future__ import annotations

from rwm.model import RecordedState, StateInfo
from rwmfs.tree.state_catalog import StateCatalog, time_names
from tests.unit.states import BUCKET

TIME = "1970-01-01T00:00:05Z"


def info(state_id: str, second: int = 5) -> StateInfo:
    return StateInfo(state_id, BUCKET, second * 1000, "capture", 0, 0)


def test_a_time_names_the_first_state_of_its_second_and_others_get_a_short_id() -> None:
    one, two, later = info("a" * 64), info("b" * 64), info("c" * 64, 6)
    names = time_names([one, two, later], {one.id: 5000, two.id: 5001, later.id: 6000})
    assert names == {TIME: one, f"{TIME}-bbbbbbbbbbbb": two, "1970-01-01T00:00:06Z": later}


def test_a_time_keeps_its_meaning_when_a_state_is_forgotten() -> None:
    two = info("b" * 64)
    assert time_names([two], {two.id: 5001}) == {f"{TIME}-bbbbbbbbbbbb": two}


def test_states_of_one_second_with_the_same_short_id_get_full_ids() -> None:
    one, two = info("b" * 64), info("b" * 12 + "c" * 52)
    assert time_names([one, two], {one.id: 5001, two.id: 5002}) == {
        f"{TIME}-bbbbbbbbbbbb": one,
        f"{TIME}-{two.id}": two,
    }


def test_an_id_prefix_of_8_digits_or_more_names_a_state() -> None:
    one, two, three = info("0" * 64), info("ab" * 32), info("ab" * 31 + "ff")
    states = [RecordedState(each, "own") for each in (one, two, three)]
    recorded = StateCatalog(states, dict.fromkeys((one.id, two.id, three.id), 0), {})
    assert recorded.by_id_prefix("0" * 8) == recorded.by_id_prefix("0" * 63) == one
    assert recorded.by_id_prefix(two.id[:63]) == two
    for text in ("0" * 7, "0" * 64, "ab" * 4, "1" * 8, "ABABABAB", "", "0000000g", "latest"):
        assert recorded.by_id_prefix(text) is None


def test_a_state_forgotten_between_two_queries_is_absent() -> None:
    one, two = info("a" * 64), info("b" * 64, 6)
    recorded = StateCatalog([RecordedState(each, "own") for each in (one, two)], {one.id: 5000}, {"latest": two})
    assert (recorded.ids, recorded.newest, recorded.named) == ([one.id], one, {})
