"""Call a function for each of many items in threads, with results in the calling thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from typing import Generic, NamedTuple, TypeVar

from rwm.errors import RwmError

T = TypeVar("T")
R = TypeVar("R")
_AHEAD = 2  # items for each thread that are taken before their results


class Outcome(NamedTuple, Generic[T, R]):
    """An item, and its result or its error."""

    item: T
    result: R
    error: RwmError | None


def map_in_threads(
    function: Callable[[T], R], items: Iterator[T], threads: int
) -> Iterator[list[Outcome[T, R | None]]]:
    """Yield the outcomes in the order in which they come, all that are there at a time.

    ``items`` is read in the calling thread, a few items ahead. Exceptions other than RwmError are raised here. A caller
    that stops reading, by an exception or Ctrl-C, does not wait for the threads: they are daemons, and end after
    their item.
    """
    tasks: SimpleQueue[tuple[T] | None] = SimpleQueue()
    done: SimpleQueue[Outcome[T, R | None] | BaseException] = SimpleQueue()
    stop = threading.Event()

    def work() -> None:
        while (task := tasks.get()) and not stop.is_set():
            (item,) = task
            try:
                done.put(Outcome(item, function(item), None))
            except RwmError as error:
                done.put(Outcome(item, None, error))
            except BaseException as error:  # noqa: BLE001 - raised where the outcomes are read
                done.put(error)

    for _ in range(threads):
        threading.Thread(target=work, daemon=True).start()
    running = 0
    try:
        while True:
            while running < _AHEAD * threads and (task := _next(items)):
                tasks.put(task)
                running += 1
            if not running:
                return
            outcomes = _take_all(done)
            running -= len(outcomes)
            yield outcomes
    finally:
        stop.set()
        for _ in range(threads):
            tasks.put(None)


def _next(items: Iterator[T]) -> tuple[T] | None:
    for item in items:
        return (item,)
    return None


def _take_all(done: SimpleQueue[Outcome[T, R | None] | BaseException]) -> list[Outcome[T, R | None]]:
    """Wait for one outcome; return it with all others that are there."""
    found = [done.get()]
    try:
        while True:
            found.append(done.get_nowait())
    except Empty:
        pass
    outcomes = []
    for one in found:
        if isinstance(one, BaseException):
            raise one
        outcomes.append(one)
    return outcomes
