"""The buffer pool: one arena for all threads, large buffers reused."""

from __future__ import annotations

import ctypes
import errno
import mmap
import threading
from collections.abc import Callable, Iterable

import pytest

from rwmfs import buffer_pool
from rwmfs.buffer_pool import LARGE, BufferPool


def test_malloc_is_limited_to_one_arena(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []

    class Library:
        def mallopt(self, option: int, value: int) -> int:
            asked.append((option, value))
            return 1

    monkeypatch.setattr(ctypes, "CDLL", lambda name: Library())
    buffer_pool.use_one_arena()
    assert asked == [(-8, 1)], "M_ARENA_MAX of malloc.h"


def test_a_library_without_mallopt_is_supported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    buffer_pool.use_one_arena()


@pytest.mark.parametrize(("memory", "idle"), [(0, 0), (8 * LARGE - 1, 0), (8 * LARGE, LARGE), (256 << 20, 32 << 20)])
def test_an_eighth_of_the_memory_may_be_idle(memory: int, idle: int) -> None:
    assert buffer_pool.idle_limit(memory) == idle


# --- memory that is used again -------------------------------------------------------------------------


class Areas:
    """Records the pool's system calls: the sizes of new areas, and (advice, offset, length) of each madvise."""

    def __init__(self) -> None:
        self.made: list[int] = []
        self.advice: list[tuple[int, ...]] = []
        self.knows_large_pages = True


@pytest.fixture
def areas(monkeypatch: pytest.MonkeyPatch) -> Areas:
    areas = Areas()

    class Area(mmap.mmap):
        def __new__(cls, descriptor: int, size: int, **options: int) -> Area:
            areas.made.append(size)
            return super().__new__(cls, descriptor, size, **options)

        def madvise(self, option: int, *where: int) -> None:
            areas.advice.append((option, *where))
            if option == mmap.MADV_HUGEPAGE and not areas.knows_large_pages:
                raise OSError(errno.EINVAL, "Invalid argument")
            super().madvise(option, *where)

    monkeypatch.setattr(mmap, "mmap", Area)
    return areas


def view_of(pool: BufferPool, size: int) -> memoryview:
    return memoryview(pool.allocate(size))


@pytest.mark.parametrize("size", [0, 1, LARGE - 1, LARGE, LARGE + 1, 3 * LARGE])
def test_a_buffer_of_any_size_is_writable(size: int) -> None:
    view = view_of(BufferPool(0), size)
    assert (view.format, view.readonly, len(view)) == ("B", False, size)
    view[:] = b"7" * size
    assert bytes(view) == b"7" * size


def test_large_buffers_are_mapped_in_large_pages(areas: Areas) -> None:
    pool = BufferPool(0)
    view_of(pool, LARGE - 1)
    assert areas.made == []
    view_of(pool, LARGE + 1)
    assert areas.made == [LARGE + 1]
    assert areas.advice == [(mmap.MADV_HUGEPAGE,)]


def test_a_kernel_without_large_pages(areas: Areas) -> None:
    areas.knows_large_pages = False
    assert len(view_of(BufferPool(0), LARGE)) == LARGE


def test_an_unused_buffer_is_reused(areas: Areas) -> None:
    pool = BufferPool(4 * LARGE)
    view = view_of(pool, 2 * LARGE)
    view[0] = 7
    part = view[5:10]
    del view
    other = view_of(pool, 2 * LARGE)
    assert areas.made == [2 * LARGE] * 2, "a part of it is in use"
    other[5:10] = b"other"
    assert bytes(part) == bytes(5)
    del part
    assert view_of(pool, 2 * LARGE - 1)[0] == 7
    assert areas.made == [2 * LARGE] * 2


def test_a_buffer_is_in_use_while_any_view_of_it_exists(areas: Areas) -> None:
    pool = BufferPool(4 * LARGE)
    array = (ctypes.c_char * 5).from_buffer(view_of(pool, LARGE))
    view_of(pool, LARGE)[:5] = b"other"
    assert bytes(array) == bytes(5)


def test_the_smallest_idle_area_that_fits_is_reused_unless_too_large(areas: Areas) -> None:
    pool = BufferPool(64 * LARGE)
    views = [view_of(pool, size * LARGE) for size in (10, 8, 9)]
    del views
    del areas.made[:], areas.advice[:]
    views = [view_of(pool, 8 * LARGE), view_of(pool, 8 * LARGE)]
    assert (areas.made, areas.advice) == ([], [(mmap.MADV_DONTNEED, 8 * LARGE, LARGE)])
    views.append(view_of(pool, 7 * LARGE))
    assert areas.made == [7 * LARGE], "reusing 10 would waste 3"
    del views


def test_excess_pages_are_returned_to_the_kernel(areas: Areas) -> None:
    pool = BufferPool(64 * LARGE)
    view_of(pool, 9 * LARGE)[:] = b"7" * (9 * LARGE)
    view_of(pool, 8 * LARGE)
    assert bytes(view_of(pool, 9 * LARGE)[8 * LARGE :]) == bytes(LARGE)
    assert areas.made == [9 * LARGE]


def test_idle_areas_are_bounded_and_the_oldest_is_freed_first(areas: Areas) -> None:
    pool = BufferPool(5 * LARGE)
    for size in (1, 2, 3):
        view = view_of(pool, size * LARGE)
        view[:3] = b"777"
        del view
    del areas.made[:]
    views = [view_of(pool, size * LARGE) for size in (2, 3)]
    assert areas.made == []
    assert all(bytes(view[:3]) == b"777" for view in views)
    view_of(pool, LARGE)
    assert areas.made == [LARGE]


def test_nothing_is_idle_with_a_small_limit(areas: Areas) -> None:
    pool = BufferPool(LARGE - 1)
    for _ in range(3):
        view_of(pool, LARGE)
    assert areas.made == [LARGE] * 3


def test_an_area_returned_during_an_allocation_is_harmless(areas: Areas, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the garbage collector may do it, in the same thread, between any two steps."""
    pool = BufferPool(2 * LARGE)
    in_use = [view_of(pool, LARGE) for _ in range(4)]
    waiting = [view_of(pool, LARGE) for _ in range(2)]
    waiting.clear()

    def sort(areas: Iterable[mmap.mmap], key: Callable[[mmap.mmap], int]) -> list[mmap.mmap]:
        found = sorted(areas, key=key)
        in_use.clear()  # so much that those which were found leave
        return found

    monkeypatch.setattr(buffer_pool, "sorted", sort, raising=False)
    view = view_of(pool, LARGE)
    assert len(view) == LARGE
    assert len(areas.made) == 7


def test_threads_get_different_areas(areas: Areas) -> None:
    pool, wrong = BufferPool(8 * LARGE), list[bytes]()
    all_allocated = threading.Barrier(4, timeout=300)

    def work(mark: bytes) -> None:
        for _ in range(50):
            view = view_of(pool, LARGE)
            view[:8] = mark * 8
            all_allocated.wait()
            if bytes(view[:8]) != mark * 8:
                wrong.append(mark)
            all_allocated.wait()
            del view

    threads = [threading.Thread(target=work, args=(bytes([number]),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(areas.made) <= len(threads)
