"""Running generators in threads and merging their items through a bounded queue."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from queue import Full, Queue
from typing import Generic, TypeVar

T = TypeVar("T")
_POLL = 0.1  # seconds between checks of a waiting thread whether to stop


@dataclass(frozen=True, slots=True)
class _Item(Generic[T]):
    """An item of a task, of any type."""

    value: T


def merge_in_threads(tasks: Iterable[Callable[[], Iterable[T]]], at_once: int) -> Iterator[T]:
    """Yield the items of all tasks, in any order between tasks; at most ``at_once`` run, started in their order.

    An item costs some microseconds in the queue, so tasks should yield batches.

    The first exception of a task is raised here. A caller that stops reading, by an exception or Ctrl-C, does not wait
    for the threads: they are daemons and end by themselves.
    """
    left = iter(tasks)
    taking = threading.Lock()
    stop = threading.Event()
    queue: Queue[_Item[T] | BaseException | None] = Queue(2 * at_once)

    def put(item: _Item[T] | BaseException | None) -> None:
        while not stop.is_set():
            try:
                queue.put(item, timeout=_POLL)
            except Full:
                continue
            return

    def work() -> None:
        try:
            while not stop.is_set():
                with taking:
                    task = next(left, None)
                if task is None:
                    break
                for item in task():
                    put(_Item(item))
                    if stop.is_set():
                        break
        except BaseException as error:  # noqa: BLE001 - raised where the items are read
            put(error)
        else:
            put(None)

    for _ in range(at_once):
        threading.Thread(target=work, daemon=True).start()
    running = at_once
    try:
        while running:
            item = queue.get()
            if item is None:
                running -= 1
            elif isinstance(item, BaseException):
                raise item
            else:
                yield item.value
    finally:
        stop.set()
