"""What went through: the last requests one by one, and sums of all."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from dataclasses import dataclass, replace
from typing import NamedTuple

from bench.proxy.faults import Predicate, Request

KEPT = 100_000
"""Requests that are kept one by one."""


@dataclass(slots=True)
class Seen:
    """A request. ``status`` is 0 until the client gets one; bytes are those of the bodies; ``fault`` names what
    happened to it.
    """

    request: Request
    fault: str
    status: int = 0
    received: int = 0
    sent: int = 0


class Total(NamedTuple):
    """Number of requests, bytes of their bodies, bytes of the answers' bodies."""

    requests: int = 0
    received: int = 0
    sent: int = 0


class Traffic:
    """For any thread. A byte is counted before it is handed on: who has got an answer finds all of it here."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: deque[Seen] = deque(maxlen=KEPT)
        self._totals: defaultdict[str, Total] = defaultdict(Total)

    def begin(self, request: Request, fault: str) -> Seen:
        """A request has come; the other methods are told of it by what is returned."""
        seen = Seen(request, fault)
        with self._lock:
            self._seen.append(seen)
            self._totals[request.method] = _sum(self._totals[request.method], Total(1))
        return seen

    def answered(self, seen: Seen, status: int) -> None:
        """Its answer is about to go."""
        with self._lock:
            seen.status = status

    def received(self, seen: Seen, count: int) -> None:
        """So many bytes of its body have come."""
        with self._lock:
            seen.received += count
            self._totals[seen.request.method] = _sum(self._totals[seen.request.method], Total(0, count))

    def sent(self, seen: Seen, count: int) -> None:
        """So many bytes of its answer are about to go."""
        with self._lock:
            seen.sent += count
            self._totals[seen.request.method] = _sum(self._totals[seen.request.method], Total(0, 0, count))

    def requests(self, when: Predicate) -> list[Seen]:
        """Those that match, as they stand now, in the order in which they came."""
        with self._lock:
            seen = [replace(each) for each in self._seen]
        return [each for each in seen if when(each.request)]

    def total(self, method: str | None) -> Total:
        """Of the requests of that method, or of all."""
        with self._lock:
            if method is not None:
                return self._totals.get(method, Total())
            return _sum(*self._totals.values())

    def forget(self) -> None:
        """Begin anew."""
        with self._lock:
            self._seen.clear()
            self._totals.clear()


def _sum(*totals: Total) -> Total:
    return Total(*map(sum, zip(*totals, strict=True))) if totals else Total()
