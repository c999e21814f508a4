"""A large prefix by several connections: the same entries, never for a small one, and no longer than it pays."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rwm.s3.listing.parallel
from rwm.cli.main import cli
from rwm.console.error_boundary import run_program
from rwm.errors import BadResponse
from rwm.model import ObjectVersion
from rwm.s3.listing.check import group_by_key
from rwm.s3.listing.parallel import list_in_parallel
from rwm.s3.listing.queue import merge_in_threads
from rwm.s3.listing.speed import WIDTHS, best_width, next_width
from tests.unit.memory import MemoryS3

# --- the decision --------------------------------------------------------------------------------------------


def decided(speeds: dict[int, float]) -> tuple[list[int], int]:
    """What is tried on a server of these speeds, and what is kept."""
    measured = {1: speeds[1]}
    while width := next_width(measured):
        measured[width] = speeds[width]
    return [*measured], best_width(measured)


@pytest.mark.parametrize(
    ("speeds", "tried", "kept"),
    [
        ({1: 1000, 4: 900}, [1, 4], 1),
        ({1: 1000, 4: 1100}, [1, 4], 1),
        ({1: 1000, 4: 3900, 8: 4000}, [1, 4, 8], 4),
        ({1: 1000, 4: 3900, 8: 7000, 16: 7100}, [1, 4, 8, 16], 8),
        ({1: 1000, 4: 3900, 8: 7000, 16: 13000}, [1, 4, 8, 16], 16),
        ({1: 0, 4: 0}, [1, 4, 8, 16], 16),
    ],
)
def test_more_connections_are_tried_as_long_as_they_gain(speeds: dict[int, float], tried: list[int], kept: int) -> None:
    assert decided({**dict.fromkeys(WIDTHS, 0.0), **speeds}) == (tried, kept)


@given(speeds=st.fixed_dictionaries({width: st.floats(1, 1e6) for width in WIDTHS}))
def test_what_is_kept_was_measured_and_is_not_slower_than_one(speeds: dict[int, float]) -> None:
    tried, kept = decided(speeds)
    assert kept in tried and speeds[kept] >= speeds[1]


# --- the threads ---------------------------------------------------------------------------------------------


@given(sizes=st.lists(st.integers(0, 2500), max_size=6), at_once=st.integers(1, 4))
def test_all_that_the_tasks_give_comes_out(sizes: list[int], at_once: int) -> None:
    tasks = [lambda n=n, size=size: ((n, k) for k in range(size)) for n, size in enumerate(sizes)]
    found = list(merge_in_threads(tasks, at_once))
    assert sorted(found) == [(n, k) for n, size in enumerate(sizes) for k in range(size)]
    for n, size in enumerate(sizes):
        assert [k for task, k in found if task == n] == list(range(size))


def test_not_more_run_at_once_and_not_more_is_held() -> None:
    given_out = 0
    lock = threading.Lock()

    def task() -> Iterator[int]:
        nonlocal given_out
        for number in range(100_000):
            with lock:
                given_out += 1
            yield number

    reading = merge_in_threads([task] * 5, 2)
    next(reading)
    time.sleep(0.3)
    held = given_out
    reading.close()  # type: ignore[attr-defined]
    assert held <= (2 * 2 + 2 + 1) * 1000


def test_the_error_of_a_task_comes_out() -> None:
    def bad() -> Iterator[int]:
        yield 1
        raise BadResponse("no")

    with pytest.raises(BadResponse, match="no"):
        list(merge_in_threads([bad, lambda: iter(range(10**9))], 2))


def test_a_caller_that_stops_reading_does_not_wait() -> None:
    stuck = threading.Event()

    def task() -> Iterator[int]:
        yield from range(1000)
        stuck.wait()

    reading = merge_in_threads([task] * 3, 3)
    next(reading)
    reading.close()  # type: ignore[attr-defined]
    assert not stuck.is_set()
    stuck.set()


# --- a prefix ------------------------------------------------------------------------------------------------


class Slow(MemoryS3):
    """Listings that tell how many ran at once, and take time of a clock of their own for each entry."""

    seconds = 0.0
    """What all listings have taken."""
    gain = 1.0
    """How many times faster an entry of a directory comes than one of a plain listing."""
    together = 0
    """So many listings of directories wait for each other."""
    running = most = 0

    def versions(self, bucket: str, prefix: str = "", *, page_size: int = 1000) -> Iterator[ObjectVersion]:
        self.asked.append(prefix)
        with self._lock:
            self.running += 1
            self.most = max(self.most, self.running)
            self._changed.notify_all()
            if prefix != "data/":
                assert self._changed.wait_for(lambda: self.most >= self.together, 300)
        for entry in super().versions(bucket, prefix):
            with self._lock:
                self.seconds += 1.0 if prefix == "data/" else 1 / self.gain
            yield entry
        with self._lock:
            self.running -= 1

    def version_batches(
        self, bucket: str, prefix: str = "", *, page_size: int = 4
    ) -> Iterator[Sequence[ObjectVersion]]:
        return super().version_batches(bucket, prefix, page_size=page_size)

    def __init__(self) -> None:
        super().__init__("bucket1")
        self.asked: list[str] = []
        self._changed = threading.Condition(self._lock)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Slow:
    """Forty directories and some files, each with two versions."""
    monkeypatch.setattr(rwm.s3.listing.parallel, "_PROBE", 8)
    s3 = Slow()
    monkeypatch.setattr(rwm.s3.listing.parallel, "time", SimpleNamespace(monotonic=lambda: s3.seconds))
    s3.create_bucket("flat")
    for number in range(40):
        for end in ("/a", "/b/c", ""):
            for _ in range(2):
                s3.put("bucket1", f"data/{number:02}{end}", b"1")
    return s3


def by_key(batches: Iterable[Sequence[ObjectVersion]]) -> Iterator[list[ObjectVersion]]:
    return group_by_key(version for batch in batches for version in batch)


def listed(s3: Slow, concurrency: int | None = None) -> list[ObjectVersion]:
    """All entries, each key once."""
    found = [*list_in_parallel(s3, "bucket1", "data/", by_key, concurrency)]
    assert len({history[0].key for history in found}) == len(found), "a key came twice"
    return sorted((entry for history in found for entry in history), key=lambda entry: entry.key)


@pytest.mark.parametrize("concurrency", [None, 1, 2, 5, 64])
def test_every_entry_comes_once_whatever_is_tried(s3: Slow, concurrency: int | None) -> None:
    assert listed(s3, concurrency) == [*MemoryS3.versions(s3, "bucket1", "data/")]
    if concurrency:
        assert s3.most <= concurrency + 1  # the beginning that is given up stays open


def test_a_server_that_gains_is_asked_for_several_at_once(s3: Slow) -> None:
    s3.gain, s3.together = 4, 4
    assert len(listed(s3)) == 240
    assert s3.most >= 4


def test_a_server_that_does_not_gain_goes_on_as_if_nothing_had_been_tried(s3: Slow) -> None:
    s3.gain = 0.5
    assert len(listed(s3)) == 240
    assert len([prefix for prefix in s3.asked if prefix != "data/"]) == 2 * 4
    assert s3.asked.count("data/") == 1


@pytest.mark.parametrize("concurrency", [None, 1, 4])
def test_keys_without_directories_that_extend_each_other(s3: Slow, concurrency: int | None) -> None:
    for number in range(60):
        for end in ("", "-x", ".old", "\U0010ffff", "\U0010ffffx"):
            s3.put("flat", f"data/{number:02}{end}", b"1")
    found = [*list_in_parallel(s3, "flat", "data/", by_key, concurrency)]
    assert sorted(history[0].key for history in found) == sorted(s3.present("flat"))


def test_a_small_prefix_is_never_divided(monkeypatch: pytest.MonkeyPatch, s3: Slow) -> None:
    monkeypatch.setattr(rwm.s3.listing.parallel, "_PROBE", 1000)
    assert len(listed(s3)) == len(listed(s3, 8)) == 240
    assert s3.asked == ["data/"] * 2


def test_one_connection_is_one_plain_listing(s3: Slow) -> None:
    assert len(listed(s3, 1)) == 240
    assert s3.asked == ["data/"]


def test_too_many_names_to_hold_are_listed_one_after_the_other(s3: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rwm.s3.listing.parallel, "_LEVELS", 0)
    assert len(listed(s3)) == 240
    assert s3.asked == ["data/"]


@pytest.mark.parametrize("number", ["0", "65", "-1", "many"])
def test_how_many_connections_there_may_be(number: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run_program(cli, "rwm", ["state", "capture", "bucket1", "--concurrency", number])
    assert ended.value.code == 2
    assert "--concurrency" in capfd.readouterr().err
