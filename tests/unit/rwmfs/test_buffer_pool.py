"""All threads of a mount allocate from one arena, and large pieces from what others do not use any more."""

from __future__ import annotations

import ctypes
import errno
import mmap
import threading
from collections.abc import Callable, Iterable

import pytest

from rwmfs import buffer_pool as allocator
from rwmfs.buffer_pool import LARGE, Pool


def test_one_arena_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []

    class Library:
        def mallopt(self, option: int, value: int) -> int:
            asked.append((option, value))
            return 1

    monkeypatch.setattr(ctypes, "CDLL", lambda name: Library())
    allocator.share()
    assert asked == [(-8, 1)], "M_ARENA_MAX of malloc.h"


def test_a_library_without_arenas_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    allocator.share()


@pytest.mark.parametrize(("memory", "idle"), [(0, 0), (8 * LARGE - 1, 0), (8 * LARGE, LARGE), (256 << 20, 32 << 20)])
def test_an_eighth_of_the_memory_may_wait_where_that_is_a_large_piece(memory: int, idle: int) -> None:
    assert allocator.idle_part(memory) == idle


# --- memory that is used again -------------------------------------------------------------------------


class Areas:
    """What a pool asks the kernel for: the size of each area, and advice with where it is for."""

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


def room(pool: Pool, size: int) -> memoryview:
    return memoryview(pool.allocate(size))


@pytest.mark.parametrize("size", [0, 1, LARGE - 1, LARGE, LARGE + 1, 3 * LARGE])
def test_room_of_any_size_can_be_written(size: int) -> None:
    view = room(Pool(0), size)
    assert (view.format, view.readonly, len(view)) == ("B", False, size)
    view[:] = b"7" * size
    assert bytes(view) == b"7" * size


def test_only_large_pieces_are_areas_and_in_large_pages(areas: Areas) -> None:
    pool = Pool(0)
    room(pool, LARGE - 1)
    assert areas.made == []
    room(pool, LARGE + 1)
    assert areas.made == [LARGE + 1]
    assert areas.advice == [(mmap.MADV_HUGEPAGE,)]


def test_a_kernel_without_large_pages(areas: Areas) -> None:
    areas.knows_large_pages = False
    assert len(room(Pool(0), LARGE)) == LARGE


def test_what_nobody_uses_any_more_is_used_again(areas: Areas) -> None:
    pool = Pool(4 * LARGE)
    view = room(pool, 2 * LARGE)
    view[0] = 7
    part = view[5:10]
    del view
    other = room(pool, 2 * LARGE)
    assert areas.made == [2 * LARGE] * 2, "a part of it is in use"
    other[5:10] = b"other"
    assert bytes(part) == bytes(5)
    del part
    assert room(pool, 2 * LARGE - 1)[0] == 7
    assert areas.made == [2 * LARGE] * 2


def test_what_others_look_at_in_their_own_way_is_in_use_too(areas: Areas) -> None:
    pool = Pool(4 * LARGE)
    array = (ctypes.c_char * 5).from_buffer(room(pool, LARGE))
    room(pool, LARGE)[:5] = b"other"
    assert bytes(array) == bytes(5)


def test_the_smallest_area_that_fits_is_taken_and_none_that_is_much_too_large(areas: Areas) -> None:
    pool = Pool(64 * LARGE)
    kept = [room(pool, size * LARGE) for size in (10, 8, 9)]
    del kept
    del areas.made[:], areas.advice[:]
    views = [room(pool, 8 * LARGE), room(pool, 8 * LARGE)]
    assert (areas.made, areas.advice) == ([], [(mmap.MADV_DONTNEED, 8 * LARGE, LARGE)])
    views.append(room(pool, 7 * LARGE))
    assert areas.made == [7 * LARGE], "10 would waste 3"
    del views


def test_what_is_too_much_of_a_larger_area_is_given_back(areas: Areas) -> None:
    pool = Pool(64 * LARGE)
    room(pool, 9 * LARGE)[:] = b"7" * (9 * LARGE)
    room(pool, 8 * LARGE)
    assert bytes(room(pool, 9 * LARGE)[8 * LARGE :]) == bytes(LARGE)
    assert areas.made == [9 * LARGE]


def test_no_more_than_that_waits_and_what_waited_longest_goes_first(areas: Areas) -> None:
    pool = Pool(5 * LARGE)
    for size in (1, 2, 3):
        view = room(pool, size * LARGE)
        view[:3] = b"777"
        del view
    del areas.made[:]
    views = [room(pool, size * LARGE) for size in (2, 3)]
    assert areas.made == []
    assert all(bytes(view[:3]) == b"777" for view in views)
    room(pool, LARGE)
    assert areas.made == [LARGE]


def test_nothing_waits_where_nothing_may(areas: Areas) -> None:
    pool = Pool(LARGE - 1)
    for _ in range(3):
        room(pool, LARGE)
    assert areas.made == [LARGE] * 3


def test_what_comes_back_while_another_is_taken_disturbs_nothing(areas: Areas, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the garbage collector may do it, in the same thread, between any two steps."""
    pool = Pool(2 * LARGE)
    in_use = [room(pool, LARGE) for _ in range(4)]
    waiting = [room(pool, LARGE) for _ in range(2)]
    waiting.clear()

    def sort(areas: Iterable[mmap.mmap], key: Callable[[mmap.mmap], int]) -> list[mmap.mmap]:
        found = sorted(areas, key=key)
        in_use.clear()  # so much that those which were found leave
        return found

    monkeypatch.setattr(allocator, "sorted", sort, raising=False)
    view = room(pool, LARGE)
    assert len(view) == LARGE
    assert len(areas.made) == 7


def test_no_two_threads_get_the_same(areas: Areas) -> None:
    pool, wrong = Pool(8 * LARGE), list[bytes]()
    all_have = threading.Barrier(4, timeout=60)

    def work(mark: bytes) -> None:
        for _ in range(50):
            view = room(pool, LARGE)
            view[:8] = mark * 8
            all_have.wait()
            if bytes(view[:8]) != mark * 8:
                wrong.append(mark)
            all_have.wait()
            del view

    threads = [threading.Thread(target=work, args=(bytes([number]),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(areas.made) <= len(threads)
