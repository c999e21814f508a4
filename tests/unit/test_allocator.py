"""All threads of a mount allocate from one arena."""

from __future__ import annotations

import ctypes

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
