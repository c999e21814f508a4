"""What has to be read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwm.errors import UsageError
from rwm.index import ListedVersion
from rwm.model import Entry
from rwm.verify.content import ContentRun
from rwm.verify.rules import EVERYTHING, MAX_CONFIG, READING, Action, choose_action, draw_sample, parse_percent

HASH = "ab" * 32
ADDRESSED = [f"data/ab/{HASH}", f"index/{HASH}", f"keys/{HASH}", f"snapshots/{HASH}"]
KEYS = st.sampled_from([*ADDRESSED, f"locks/{HASH}", "config", "host/config", "notes"])
LISTED = st.builds(
    ListedVersion,
    st.builds(Entry, KEYS, st.just("v"), st.integers(0, 1 << 30), st.just("e"), st.just(0)),
    st.sampled_from([None, "GLACIER", "DEEP_ARCHIVE", "COLD"]),
    st.sampled_from([None, "another size"]),
    st.none() | st.integers(1, 9),
    st.none() | st.text(min_size=1),
)


def pack(number: int, *, size: int = 100, checked_at: int | None = None) -> ListedVersion:
    entry = Entry(f"host/data/{number % 256:02x}/{number:064x}", f"v{number}", size, "e", 0)
    return ListedVersion(entry, None, None, checked_at, None)


@given(LISTED)
def test_exactly_what_is_not_proved_yet_and_can_be_read_is_read(version: ListedVersion) -> None:
    key = version.entry.key
    addressed = key in ADDRESSED
    readable = version.fault is None and version.storage_class not in ("GLACIER", "DEEP_ARCHIVE")
    is_config = key.endswith("config") and version.entry.size <= MAX_CONFIG
    is_open = version.checked_at is None if addressed else is_config
    assert (choose_action(version) in READING) == (readable and is_open)
    assert (choose_action(version, again=True) in READING) == (readable and (addressed or is_config))
    assert (choose_action(version) is Action.WRONG) <= (version.content_fault is not None)
    assert ContentRun().selects(version) == (choose_action(version) in READING)


@pytest.mark.parametrize(("text", "percent"), [("10", 10), ("2.5", 2.5), ("100%", 100), ("0.5 %", 0.5)])
def test_percentages(text: str, percent: float) -> None:
    assert parse_percent(text) == percent


@pytest.mark.parametrize("text", ["0", "101", "-1", "", "ten", "1e1", "100.1", "٣"])
def test_what_is_no_percentage(text: str) -> None:
    with pytest.raises(UsageError, match="percentage"):
        parse_percent(text)


class TestSample:
    """Packs are chosen at random, by bytes."""

    def test_it_has_about_that_part_of_the_bytes(self) -> None:
        packs = [pack(number) for number in range(5000)]
        for percent in (1, 10, 50, 99):
            sample = draw_sample(7, percent, packs)
            part = sum(version.entry in sample for version in packs) / 50
            assert percent * 0.6 < part < percent * 1.5

    def test_ten_runs_of_ten_percent_prove_about_everything(self) -> None:
        proved: set[int] = set()
        for seed in range(10):
            packs = [pack(number, checked_at=1 if number in proved else None) for number in range(2000)]
            sample = draw_sample(seed, 10, packs)
            proved |= {n for n, version in enumerate(packs) if ContentRun(sample).selects(version)}
        assert len(proved) > 1800

    @given(st.integers(0, 2**64 - 1), st.floats(0.001, 100), st.integers(1, 20))
    def test_it_has_at_least_one_that_has_to_be_read(self, seed: int, percent: float, count: int) -> None:
        packs = [pack(number, checked_at=1 if number % 3 else None) for number in range(count)]
        sample = draw_sample(seed, percent, packs)
        assert any(version.entry in sample for version in packs if version.checked_at is None)

    def test_a_seed_repeats_it_and_another_one_does_not(self) -> None:
        packs = [pack(number) for number in range(1000)]
        samples = [draw_sample(seed, 10, packs) for seed in (1, 1, 2)]
        chosen = [{n for n, one in enumerate(packs) if one.entry in sample} for sample in samples]
        assert chosen[0] == chosen[1] != chosen[2]

    def test_only_packs_are_chosen_from(self) -> None:
        small = ListedVersion(Entry(f"index/{HASH}", "v", 1, "e", 0), None, None, None, None)
        sample = draw_sample(1, 0.001, [pack(number) for number in range(1000)])
        assert ContentRun(sample).selects(small)

    def test_everything_has_all(self) -> None:
        assert all(pack(number).entry in EVERYTHING for number in range(100))
