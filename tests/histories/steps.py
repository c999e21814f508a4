"""Run operations on a bucket: an operation is a generator of steps, one step is one request.

An operation reads the bucket when its next step is asked for, that is right after its last step was carried out, so
operations that run together see what the others did.
"""

from __future__ import annotations

import heapq
from collections.abc import Generator, Iterable, Sequence
from itertools import groupby
from typing import Literal, NamedTuple

from tests.histories.bucket import Bucket


class Step(NamedTuple):
    """One request. ``delay`` is the time in milliseconds since the step before it ended.

    A step with ``parallel`` is sent while earlier ones of the same kind (action and directory) are still running.
    """

    action: Literal["put", "delete", "wait"]
    key: str = ""
    size: int = 0
    delay: int = 20
    content: str = ""
    parallel: bool = False
    parts: int = 0

    @property
    def token(self) -> str:
        """``+data``, ``-index``: what the step does to which kind of key. Also of keys below a prefix."""
        return token(self.action, self.key)


Operation = Generator[Step, None, None]


class Start(NamedTuple):
    """When to start an operation, and after how many of its steps it is killed (None: it ends by itself)."""

    at: int
    operation: Operation
    killed_after: int | None = None


def run(bucket: Bucket, operation: Operation, *, killed_after: int | None = None) -> list[Step]:
    """Run one operation from now on; returns the steps that were carried out."""
    return run_together(bucket, [Start(bucket.now, operation, killed_after)])


def run_together(bucket: Bucket, starts: Sequence[Start]) -> list[Step]:
    """Run operations side by side, each step at its time; returns the steps in the order in which they happened."""
    done: list[Step] = []
    running = [_Running(bucket, start) for start in starts]
    queue = [(start.at, number) for number, start in enumerate(starts)]
    heapq.heapify(queue)
    while queue:
        at, number = heapq.heappop(queue)
        bucket.now = max(bucket.now, at)
        step = running[number].advance()
        if step is not None:
            done.append(step)
        if (next_at := running[number].next_at) is not None:
            heapq.heappush(queue, (next_at, number))
    return done


class _Running:
    """An operation with its next step. ``next_at`` is None at its end."""

    def __init__(self, bucket: Bucket, start: Start) -> None:
        self._bucket = bucket
        self._operation = start.operation
        self._left = start.killed_after
        self._step: Step | None = None
        self._group = ("", start.at)
        """The kind of the steps that run now, and when the first of them started."""
        self.next_at: int | None = start.at

    def advance(self) -> Step | None:
        """Carry out the step that is due, and get the next one."""
        done = None
        if self._step is not None and self._step.action != "wait":
            done = self._step
            self._apply(done)
            if self._left is not None:
                self._left -= 1
        self._step = None if self._left == 0 else next(self._operation, None)
        if self._step is None:
            self._operation.close()
            self.next_at = None
        else:
            self.next_at = self._bucket.now + self._step.delay
        return done

    def _apply(self, step: Step) -> None:
        started = self._bucket.now - step.delay
        if not step.parallel or self._group[0] != step.token:
            self._group = (step.token, started)
        duration = self._bucket.now - self._group[1]
        if step.action == "put":
            self._bucket.put(step.key, step.size, step.content, duration=duration, parts=step.parts)
        else:
            self._bucket.delete(step.key, duration=duration)


def token(action: str, key: str) -> str:
    """What an action does to which kind of key, below any prefix: ``+data``, ``-locks``, ``+config``."""
    names = key.split("/")
    kind = next((name for name in names if name in ("data", "index", "keys", "locks", "snapshots")), names[-1])
    return ("+" if action == "put" else "-") + kind


def order(tokens: Iterable[str]) -> str:
    """Tokens in their order, repeated ones once: ``+locks +data +index +snapshots -locks``."""
    return " ".join(name for name, _ in groupby(tokens))
