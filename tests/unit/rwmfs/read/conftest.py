"""Time that depends on no machine."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest
import trio
import trio.testing

T = TypeVar("T")

THREAD_SECONDS = 0.01
"""What the work of a thread takes, of the time of the test's own clock."""


@pytest.fixture
def virtual_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that goes on when all tasks wait for it, and in place of threads calls that take ``THREAD_SECONDS``."""
    monkeypatch.setattr(trio, "run", partial(trio.run, clock=trio.testing.MockClock(autojump_threshold=0)))
    monkeypatch.setattr(trio.to_thread, "run_sync", _in_this_thread)
    monkeypatch.setattr("rwmfs.read.fetcher.time", SimpleNamespace(monotonic=trio.current_time))


async def _in_this_thread(
    function: Callable[..., T], *args: Any, limiter: trio.CapacityLimiter | None = None, **_: Any
) -> T:
    async with limiter or trio.CapacityLimiter(1):
        await trio.sleep(THREAD_SECONDS)
        return function(*args)
