"""Large ranges bypass the page cache while the disk is fast, and hold the right bytes in any case."""

from __future__ import annotations

import errno
import fcntl
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rwmfs.buffer_pool import LARGE, BufferPool
from rwmfs.cache.direct_io import (
    FAST_DISK,
    PAGE,
    RETRY_AFTER,
    SAMPLE,
    SAMPLE_UNDER_LOAD,
    DirectIO,
    ThroughputMeter,
    read_into,
    write_all,
)

SIZE = LARGE + PAGE + 100
CONTENT = random.Random(1).randbytes(SIZE)


class Calls:
    """Records system calls: ``operations`` has (whether with O_DIRECT, bytes) for each.

    ``refuses`` is the errno that calls with O_DIRECT fail with, ``seconds`` is how long each call takes.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.operations: list[tuple[bool, int]] = []
        self.refuses = 0
        self.seconds = 0.0
        self.now = 1000.0
        for name in ("preadv", "pwrite"):
            monkeypatch.setattr(os, name, self._watched(getattr(os, name)))
        monkeypatch.setattr("time.monotonic", lambda: self.now)

    def _watched(self, system: Callable[[int, Any, int], int]) -> Callable[[int, Any, int], int]:
        def call(descriptor: int, data: Any, offset: int) -> int:
            direct = bool(fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT)
            self.operations.append((direct, len(data[0] if isinstance(data, list) else data)))
            self.now += self.seconds
            if direct and self.refuses:
                raise OSError(self.refuses, "no")
            return system(descriptor, data, offset)

        return call

    def taken(self) -> list[tuple[bool, int]]:
        """The calls since the last time."""
        taken, self.operations = self.operations, []
        return taken


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    return Calls(monkeypatch)


def buffer_with(content: bytes = bytes(SIZE)) -> memoryview:
    view = memoryview(BufferPool(0).allocate(len(content)))
    view[:] = content
    return view


WITH_DIRECT_IO = [(True, LARGE + PAGE), (False, 100)]
WITHOUT_DIRECT_IO = [(False, SIZE)]


def test_whole_pages_of_large_ranges_use_direct_io(file: int, calls: Calls) -> None:
    direct, found = DirectIO(), buffer_with()
    direct.write_all(file, buffer_with(CONTENT), PAGE)
    assert calls.taken() == WITH_DIRECT_IO
    direct.read_into(file, found, PAGE)
    assert calls.taken() == WITH_DIRECT_IO
    assert found == CONTENT
    assert not fcntl.fcntl(file, fcntl.F_GETFL) & os.O_DIRECT


def test_small_ranges_use_the_page_cache(file: int, calls: Calls) -> None:
    direct, found = DirectIO(), buffer_with(bytes(LARGE - 1))
    direct.write_all(file, buffer_with(CONTENT[: LARGE - 1]), 0)
    direct.read_into(file, found, 0)
    assert found == CONTENT[: LARGE - 1]
    assert calls.taken() == [(False, LARGE - 1)] * 2


@pytest.mark.parametrize("refusal", [errno.EINVAL, errno.EOPNOTSUPP])
def test_the_page_cache_is_used_where_direct_io_is_unsupported(refusal: int, file: int, calls: Calls) -> None:
    """Some file systems do not support O_DIRECT, and some memory is not aligned."""
    direct, found = DirectIO(), buffer_with()
    calls.refuses = refusal
    direct.write_all(file, buffer_with(CONTENT), 0)
    assert calls.taken() == [(True, LARGE + PAGE), (False, SIZE)]
    direct.read_into(file, found, 0)
    assert found == CONTENT
    assert calls.taken() == WITHOUT_DIRECT_IO, "not tried again before RETRY_AFTER"
    calls.now += RETRY_AFTER
    direct.read_into(file, found, 0)
    assert calls.taken()[0] == WITH_DIRECT_IO[0]


def test_unaligned_memory_is_supported(file: int) -> None:
    direct = DirectIO()
    shifted, found = buffer_with(bytes(1) + CONTENT)[1:], buffer_with(bytes(SIZE + 1))[1:]
    direct.write_all(file, shifted, 0)
    direct = DirectIO()
    direct.read_into(file, found, 0)
    assert found == CONTENT


def test_other_errors_are_raised(file: int, calls: Calls) -> None:
    calls.refuses = errno.ENOSPC
    with pytest.raises(OSError, match="no") as caught:
        DirectIO().write_all(file, buffer_with(CONTENT), 0)
    assert caught.value.errno == errno.ENOSPC
    assert not fcntl.fcntl(file, fcntl.F_GETFL) & os.O_DIRECT


def test_a_slow_disk_suspends_direct_io(file: int, calls: Calls) -> None:
    direct = DirectIO()
    calls.seconds = SIZE / FAST_DISK / 2
    for _ in range(int(SAMPLE / calls.seconds) + 2):
        direct.write_all(file, buffer_with(CONTENT), 0)
    calls.taken()
    calls.seconds = SIZE / FAST_DISK * 2
    for _ in range(int(SAMPLE / calls.seconds) + 1):  # a single slow operation does not count
        direct.write_all(file, buffer_with(CONTENT), 0)
        assert calls.taken() == WITH_DIRECT_IO
    direct.read_into(file, buffer_with(), 0)
    assert calls.taken() == WITHOUT_DIRECT_IO
    calls.now += RETRY_AFTER
    direct.write_all(file, buffer_with(CONTENT), 0)
    assert calls.taken() == WITH_DIRECT_IO


def test_a_failed_operation_ends_its_measurement(file: int, calls: Calls) -> None:
    direct = DirectIO()
    calls.refuses = errno.ENOSPC
    with pytest.raises(OSError, match="no"):
        direct.write_all(file, buffer_with(CONTENT), 0)
    calls.refuses = 0
    for _ in range(3):  # idle time between operations does not count
        calls.now += 10 * SAMPLE_UNDER_LOAD
        calls.taken()
        direct.write_all(file, buffer_with(CONTENT), 0)
        assert calls.taken() == WITH_DIRECT_IO


def rates(meter: ThroughputMeter, *steps: tuple[float, int | None]) -> list[float]:
    """The measured rates. A step is (time, None) for the begin of an operation, (time, bytes) for its end."""
    measured: list[float | None] = []
    for now, done in steps:
        if done is None:
            meter.begin(now)
        else:
            measured.append(meter.end(done, now))
    return [rate for rate in measured if rate is not None]


def test_the_throughput_is_the_sum_over_all_threads() -> None:
    """Each of two takes twice as long as it would alone."""
    begin, end = (10.0, None), (10.0 + SAMPLE, FAST_DISK)
    assert rates(ThroughputMeter(), begin, begin, end, end) == [2 * FAST_DISK / SAMPLE], "only after both have ended"


def test_continuous_load_is_measured() -> None:
    meter = ThroughputMeter()
    meter.begin(0.0)
    measured = [rate for n in range(100) for rate in rates(meter, (n / 10, None), ((n + 1) / 10, FAST_DISK // 10))]
    assert len(measured) == int(10 / SAMPLE_UNDER_LOAD)
    assert all(rate == pytest.approx(FAST_DISK) for rate in measured)


def test_short_operations_are_summed_and_idle_time_is_not_counted() -> None:
    meter, short = ThroughputMeter(), SAMPLE / 4
    for start in (100.0, 200.0, 300.0):
        assert not rates(meter, (start, None), (start + short, 1000))
    assert rates(meter, (400.0, None), (400.0 + short, 1000)) == [4000 / SAMPLE]
    assert not rates(meter, (500.0, None), (500.0 + short, 1000)), "a new measurement"


def test_a_read_stops_at_the_end_of_the_file(file: int) -> None:
    for length in (0, 1, PAGE, LARGE - 1, LARGE, LARGE + PAGE + 1):
        os.ftruncate(file, 0)
        write_all(file, CONTENT[:length], 0)
        found = buffer_with()
        DirectIO().read_into(file, found, 0)
        assert found == CONTENT[:length] + bytes(SIZE - length)
        assert read_into(file, buffer_with(), 0) == length


def test_short_system_calls_are_continued(file: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pwrite, preadv = os.pwrite, os.preadv
    monkeypatch.setattr(os, "pwrite", lambda file, data, offset: pwrite(file, data[:1000], offset))
    monkeypatch.setattr(os, "preadv", lambda file, into, offset: preadv(file, [into[0][:777]], offset))
    assert write_all(file, CONTENT[:5000], 3) == 5000
    found = buffer_with(bytes(5000))
    assert read_into(file, found, 3) == 5000
    assert found == CONTENT[:5000]
