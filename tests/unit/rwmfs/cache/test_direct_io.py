"""Large parts go past the kernel's page cache while the disk is fast; whatever happens, they are the right bytes."""

from __future__ import annotations

import errno
import fcntl
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rwmfs.buffer_pool import LARGE, Pool
from rwmfs.cache.direct_io import CONTINUOUS, FAST, PAGE, PAUSE, TELLING, DirectIO, Workload, fill, put

SIZE = LARGE + PAGE + 100
CONTENT = random.Random(1).randbytes(SIZE)


class Calls:
    """What the system is asked: ``direct`` says of each call whether it goes past the cache, with its bytes.

    ``refuses`` is the errno with which it answers what goes past the cache, ``seconds`` is how long each call takes.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.direct: list[tuple[bool, int]] = []
        self.refuses = 0
        self.seconds = 0.0
        self.now = 1000.0
        for name in ("preadv", "pwrite"):
            monkeypatch.setattr(os, name, self._watched(getattr(os, name)))
        monkeypatch.setattr("time.monotonic", lambda: self.now)

    def _watched(self, system: Callable[[int, Any, int], int]) -> Callable[[int, Any, int], int]:
        def call(descriptor: int, data: Any, offset: int) -> int:
            direct = bool(fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT)
            self.direct.append((direct, len(data[0] if isinstance(data, list) else data)))
            self.now += self.seconds
            if direct and self.refuses:
                raise OSError(self.refuses, "no")
            return system(descriptor, data, offset)

        return call

    def taken(self) -> list[tuple[bool, int]]:
        """The calls so far, and none from here on."""
        taken, self.direct = self.direct, []
        return taken


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    return Calls(monkeypatch)


def room(content: bytes = bytes(SIZE)) -> memoryview:
    view = memoryview(Pool(0).allocate(len(content)))
    view[:] = content
    return view


PAST = [(True, LARGE + PAGE), (False, 100)]
NOT_PAST = [(False, SIZE)]


def test_what_is_large_goes_past_the_cache_but_for_what_is_not_a_page(file: int, calls: Calls) -> None:
    past, found = DirectIO(), room()
    past.put(file, room(CONTENT), PAGE)
    assert calls.taken() == PAST
    past.fill(file, found, PAGE)
    assert calls.taken() == PAST
    assert found == CONTENT
    assert not fcntl.fcntl(file, fcntl.F_GETFL) & os.O_DIRECT


def test_what_is_small_does_not(file: int, calls: Calls) -> None:
    past, found = DirectIO(), room(bytes(LARGE - 1))
    past.put(file, room(CONTENT[: LARGE - 1]), 0)
    past.fill(file, found, 0)
    assert found == CONTENT[: LARGE - 1]
    assert calls.taken() == [(False, LARGE - 1)] * 2


@pytest.mark.parametrize("refusal", [errno.EINVAL, errno.EOPNOTSUPP])
def test_where_it_cannot_be_done_it_is_done_as_usual(refusal: int, file: int, calls: Calls) -> None:
    """Some file systems know no O_DIRECT, and some memory is not at the right place."""
    past, found = DirectIO(), room()
    calls.refuses = refusal
    past.put(file, room(CONTENT), 0)
    assert calls.taken() == [(True, LARGE + PAGE), (False, SIZE)]
    past.fill(file, found, 0)
    assert found == CONTENT
    assert calls.taken() == NOT_PAST, "and not tried again for a while"
    calls.now += PAUSE
    past.fill(file, found, 0)
    assert calls.taken()[0] == PAST[0]


def test_memory_at_any_place_will_do(file: int) -> None:
    past = DirectIO()
    shifted, found = room(bytes(1) + CONTENT)[1:], room(bytes(SIZE + 1))[1:]
    past.put(file, shifted, 0)
    past = DirectIO()
    past.fill(file, found, 0)
    assert found == CONTENT


def test_any_other_error_is_one(file: int, calls: Calls) -> None:
    calls.refuses = errno.ENOSPC
    with pytest.raises(OSError, match="no") as caught:
        DirectIO().put(file, room(CONTENT), 0)
    assert caught.value.errno == errno.ENOSPC
    assert not fcntl.fcntl(file, fcntl.F_GETFL) & os.O_DIRECT


def test_a_disk_that_is_slow_is_left_alone_for_a_while(file: int, calls: Calls) -> None:
    past = DirectIO()
    calls.seconds = SIZE / FAST / 2
    for _ in range(int(TELLING / calls.seconds) + 2):
        past.put(file, room(CONTENT), 0)
    calls.taken()
    calls.seconds = SIZE / FAST * 2
    for _ in range(int(TELLING / calls.seconds) + 1):  # what takes long once is chance
        past.put(file, room(CONTENT), 0)
        assert calls.taken() == PAST
    past.fill(file, room(), 0)
    assert calls.taken() == NOT_PAST
    calls.now += PAUSE
    past.put(file, room(CONTENT), 0)
    assert calls.taken() == PAST


def test_an_error_is_the_end_of_what_was_begun(file: int, calls: Calls) -> None:
    past = DirectIO()
    calls.refuses = errno.ENOSPC
    with pytest.raises(OSError, match="no"):
        past.put(file, room(CONTENT), 0)
    calls.refuses = 0
    for _ in range(3):  # the rest between is no work
        calls.now += 10 * CONTINUOUS
        calls.taken()
        past.put(file, room(CONTENT), 0)
        assert calls.taken() == PAST


def rates(workload: Workload, *steps: tuple[float, int | None]) -> list[float]:
    """What is told, by the end of steps: at a time something is begun (None), or so many bytes are done."""
    told: list[float | None] = []
    for now, done in steps:
        if done is None:
            workload.begin(now)
        else:
            told.append(workload.end(done, now))
    return [rate for rate in told if rate is not None]


def test_threads_that_share_a_disk_do_not_make_it_slow() -> None:
    """Each takes twice as long as it would alone."""
    begin, end = (10.0, None), (10.0 + TELLING, FAST)
    assert rates(Workload(), begin, begin, end, end) == [2 * FAST / TELLING], "not before the second has ended"


def test_where_there_is_always_something_to_do_it_is_judged_too() -> None:
    workload = Workload()
    workload.begin(0.0)
    told = [rate for n in range(100) for rate in rates(workload, (n / 10, None), ((n + 1) / 10, FAST // 10))]
    assert len(told) == int(10 / CONTINUOUS)
    assert all(rate == pytest.approx(FAST) for rate in told)


def test_what_is_short_is_not_judged_alone_and_rest_does_not_count() -> None:
    workload, short = Workload(), TELLING / 4
    for start in (100.0, 200.0, 300.0):
        assert not rates(workload, (start, None), (start + short, 1000))
    assert rates(workload, (400.0, None), (400.0 + short, 1000)) == [4000 / TELLING]
    assert not rates(workload, (500.0, None), (500.0 + short, 1000)), "and begins anew"


def test_a_file_that_ends_early_gives_what_it_has(file: int) -> None:
    for length in (0, 1, PAGE, LARGE - 1, LARGE, LARGE + PAGE + 1):
        os.ftruncate(file, 0)
        put(file, CONTENT[:length], 0)
        found = room()
        DirectIO().fill(file, found, 0)
        assert found == CONTENT[:length] + bytes(SIZE - length)
        assert fill(file, room(), 0) == length


def test_the_system_may_take_and_give_less_at_once(file: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pwrite, preadv = os.pwrite, os.preadv
    monkeypatch.setattr(os, "pwrite", lambda file, data, offset: pwrite(file, data[:1000], offset))
    monkeypatch.setattr(os, "preadv", lambda file, into, offset: preadv(file, [into[0][:777]], offset))
    assert put(file, CONTENT[:5000], 3) == 5000
    found = room(bytes(5000))
    assert fill(file, found, 3) == 5000
    assert found == CONTENT[:5000]
