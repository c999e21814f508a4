"""Measure a step of this process."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def cpu_of(step: Callable[[], T]) -> tuple[T, float]:
    """Run the step: (its result, seconds of CPU of all threads)."""
    started = time.process_time()
    result = step()
    return result, time.process_time() - started


def wall_of(step: Callable[[], T]) -> tuple[T, float]:
    """Run the step: (its result, seconds of wall time)."""
    started = time.perf_counter()
    result = step()
    return result, time.perf_counter() - started
