"""Record the traffic: the last requests one by one, and totals."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from dataclasses import dataclass, replace
from typing import NamedTuple

from bench.proxy.faults import Predicate, Request

MAX_RECORDS = 100_000
"""Requests recorded one by one."""


@dataclass(slots=True)
class RequestRecord:
    """A request. ``status`` is 0 until the answer is sent; ``fault`` is the name of the applied action.

    ``received`` and ``sent`` are bytes of the bodies of the request and of the answer.
    """

    request: Request
    fault: str
    status: int = 0
    received: int = 0
    sent: int = 0


class TrafficTotal(NamedTuple):
    """Number of requests, bytes of their bodies, bytes of the bodies of the answers."""

    requests: int = 0
    received: int = 0
    sent: int = 0


class Traffic:
    """Thread-safe. Bytes are counted before they are forwarded, so a client that has an answer finds it counted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: deque[RequestRecord] = deque(maxlen=MAX_RECORDS)
        self._totals: defaultdict[str, TrafficTotal] = defaultdict(TrafficTotal)

    def begin(self, request: Request, fault: str) -> RequestRecord:
        """Record a new request. The other methods take the returned record."""
        seen = RequestRecord(request, fault)
        with self._lock:
            self._seen.append(seen)
            self._totals[request.method] = _sum(self._totals[request.method], TrafficTotal(1))
        return seen

    def answered(self, seen: RequestRecord, status: int) -> None:
        """Record the status, before the answer is sent."""
        with self._lock:
            seen.status = status

    def received(self, seen: RequestRecord, count: int) -> None:
        """Count received bytes of the body."""
        with self._lock:
            seen.received += count
            self._totals[seen.request.method] = _sum(self._totals[seen.request.method], TrafficTotal(0, count))

    def sent(self, seen: RequestRecord, count: int) -> None:
        """Count bytes of the answer, before they are sent."""
        with self._lock:
            seen.sent += count
            self._totals[seen.request.method] = _sum(self._totals[seen.request.method], TrafficTotal(0, 0, count))

    def requests(self, when: Predicate) -> list[RequestRecord]:
        """Copies of the matching records, oldest first."""
        with self._lock:
            seen = [replace(each) for each in self._seen]
        return [each for each in seen if when(each.request)]

    def total(self, method: str | None) -> TrafficTotal:
        """The total of a method, or of all."""
        with self._lock:
            if method is not None:
                return self._totals.get(method, TrafficTotal())
            return _sum(*self._totals.values())

    def reset(self) -> None:
        """Forget all requests."""
        with self._lock:
            self._seen.clear()
            self._totals.clear()


def _sum(*totals: TrafficTotal) -> TrafficTotal:
    return TrafficTotal(*map(sum, zip(*totals, strict=True))) if totals else TrafficTotal()
