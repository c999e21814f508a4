"""Running generators in threads and merging their items through a bounded queue."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from queue import Full, Queue
from typing import Generic, TypeVar

from rwm.errors import S3Error

K = TypeVar("K")
T = TypeVar("T")
_POLL = 0.1  # seconds between checks of a waiting thread whether to stop


@dataclass(frozen=True, slots=True)
class _Item(Generic[T]):
    """An item of a task, of any type."""

    value: T


class _Merger(Generic[T]):
    """Threads that run tasks, and the queue that their items pass. A thread that has no task left puts None."""

    def __init__(self, tasks: Iterable[Callable[[], Iterable[T]]], at_once: int) -> None:
        self.queue: Queue[_Item[T] | BaseException | None] = Queue(2 * at_once)
        self.stop = threading.Event()
        self._tasks = iter(tasks)
        self._taking = threading.Lock()
        for _ in range(at_once):
            threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        try:
            while not self.stop.is_set():
                with self._taking:
                    task = next(self._tasks, None)
                if task is None:
                    break
                for item in task():
                    self._put(_Item(item))
                    if self.stop.is_set():
                        break
        except BaseException as error:  # noqa: BLE001 - raised where the items are read
            self._put(error)
        else:
            self._put(None)

    def _put(self, item: _Item[T] | BaseException | None) -> None:
        while not self.stop.is_set():
            try:
                self.queue.put(item, timeout=_POLL)
            except Full:
                continue
            return


def merge_in_threads(tasks: Iterable[Callable[[], Iterable[T]]], at_once: int) -> Iterator[T]:
    """Yield the items of all tasks, in any order between tasks; at most ``at_once`` run, started in their order.

    An item costs some microseconds in the queue, so tasks should yield batches.

    The first exception of a task is raised here. A caller that stops reading, by an exception or Ctrl-C, does not wait
    for the threads: they are daemons and end by themselves.
    """
    merger = _Merger(tasks, at_once)
    running = at_once
    try:
        while running:
            item = merger.queue.get()
            if item is None:
                running -= 1
            elif isinstance(item, BaseException):
                raise item
            else:
                yield item.value
    finally:
        merger.stop.set()


def map_in_threads(
    function: Callable[[K], T], items: Iterable[K], at_once: int, progress: Callable[[int], None] = lambda count: None
) -> dict[K, T | S3Error]:
    """The results of ``function`` by item, in the order of the items; at most ``at_once`` run.

    An S3Error takes the place of a result, so that one item does not hide the others. ``progress`` is called for each.
    """

    def call(item: K) -> Iterator[tuple[K, T | S3Error]]:
        try:
            yield item, function(item)
        except S3Error as error:
            yield item, error

    ordered = list(items)
    found = {}
    for item, result in merge_in_threads((partial(call, item) for item in ordered), at_once):
        found[item] = result
        progress(1)
    return {item: found[item] for item in ordered}
