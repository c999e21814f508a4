"""Several generators at once, in threads, through a queue that is bounded."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from queue import Full, Queue
from typing import Generic, TypeVar

T = TypeVar("T")
_LOOK = 0.1  # seconds after which a thread that waits for room looks whether it is wanted still


@dataclass(frozen=True, slots=True)
class _Item(Generic[T]):
    """What a task gave, which may be anything."""

    value: T


def merge_in_threads(tasks: Iterable[Callable[[], Iterable[T]]], at_once: int) -> Iterator[T]:
    """What the tasks give, in any order between them; not more than ``at_once`` run, begun in their order.

    Handing an item over takes some microseconds: tasks give batches.

    The first exception of a task comes out here. Whoever stops reading, by an exception or Ctrl-C, waits for nobody:
    the threads end by themselves, and never outlive the process.
    """
    left = iter(tasks)
    taking = threading.Lock()
    stop = threading.Event()
    queue: Queue[_Item[T] | BaseException | None] = Queue(2 * at_once)

    def put(item: _Item[T] | BaseException | None) -> None:
        while not stop.is_set():
            try:
                queue.put(item, timeout=_LOOK)
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
