"""All threads of a mount allocate from one arena, and large pieces in large pages where there are some."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Iterator
from pathlib import Path

import pytest

from rwmfs import allocator


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


@pytest.fixture
def huge(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Where the kernel says what it does with large pages."""
    monkeypatch.setattr(allocator, "_HUGE", tmp_path / "enabled")
    allocator._has_large_pages.cache_clear()
    yield tmp_path / "enabled"
    allocator._has_large_pages.cache_clear()


@pytest.mark.parametrize(
    ("said", "size", "kind"),
    [
        ("always [madvise] never", allocator.LARGE, mmap.mmap),
        ("[always] madvise never", allocator.LARGE + 1, mmap.mmap),
        ("always [madvise] never", allocator.LARGE - 1, bytearray),
        ("always madvise [never]", allocator.LARGE, bytearray),
        (None, allocator.LARGE, bytearray),
    ],
)
def test_room_of_any_size_is_empty_and_can_be_written(said: str | None, size: int, kind: type, huge: Path) -> None:
    if said is not None:
        huge.write_text(said)
    room = allocator.allocate(size)
    assert type(room) is kind
    with memoryview(room) as view:
        assert bytes(view) == bytes(size)
        view[-1] = 7
    assert room[-1] == 7


def test_large_pages_are_asked_for(monkeypatch: pytest.MonkeyPatch, huge: Path) -> None:
    asked: list[int] = []

    class Area(mmap.mmap):
        def madvise(self, option: int, *_: int) -> None:
            asked.append(option)

    huge.write_text("always [madvise] never")
    monkeypatch.setattr(mmap, "mmap", Area)
    allocator.allocate(allocator.LARGE)
    assert asked == [mmap.MADV_HUGEPAGE]
