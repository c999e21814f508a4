"""How many bytes one request asks for, adapted to the throughput of recent requests and to free connections. Pure.

A request costs a few milliseconds of the processor and a round trip, whatever its size. Over a slow link an object
arrives sooner in several small parallel requests; over a fast link, or while other reads use the connections, these
only cost more. A read from the disk cache has no such cost, so large ones are best while the cache has everything.
"""

from __future__ import annotations

MIN_REQUEST_SIZE = 2 * 1024 * 1024
DEFAULT_REQUEST_SIZE = 4 * 1024 * 1024
MAX_REQUEST_SIZE = 16 * 1024 * 1024

TARGET_SECONDS = 0.15
"""Intended duration of a request, including its time to first byte."""

MIN_SAMPLE = 1024 * 1024
"""Bytes of a response from which it counts: the time of a smaller one is mostly its time to first byte."""

HITS_IN_A_ROW = 3
"""Consecutive disk cache hits after which the next reads are expected to hit as well."""

_WEIGHT = 0.25
"""Weight of the newest response in the moving average."""


class RequestSizer:
    """The moving average of one mount.

    ``Fetcher`` records: responses in its worker threads, disk cache hits in the trio thread. There is no lock: two
    threads that record at once may lose one sample.
    """

    def __init__(self) -> None:
        self._rate = 0.0  # bytes a second of one connection; 0 before the first sample
        self._hits = 0  # disk cache hits since the last response of S3

    def reads_from_disk(self) -> bool:
        """Whether recent reads all hit the disk cache."""
        return self._hits >= HITS_IN_A_ROW

    def record_hit(self, size: int) -> None:
        """Record that ``size`` bytes came from the disk cache."""
        self._hits += size >= MIN_SAMPLE

    def record_response(self, size: int, seconds: float) -> None:
        """Record that a response of S3 brought ``size`` bytes."""
        if size >= MIN_SAMPLE:
            self._hits = 0
            rate = size / max(seconds, 1e-6)
            self._rate = rate if not self._rate else self._rate + (rate - self._rate) * _WEIGHT

    def request_size(self, running: int, connections: int) -> int:
        """Bytes of one request at most, a multiple of MIN_REQUEST_SIZE, while ``running`` connections are in use.

        Less than DEFAULT_REQUEST_SIZE only if the link is known to be slow and a quarter of the connections is free.
        """
        if self.reads_from_disk():
            return MAX_REQUEST_SIZE
        size = min(int(self._rate * TARGET_SECONDS) // DEFAULT_REQUEST_SIZE * DEFAULT_REQUEST_SIZE, MAX_REQUEST_SIZE)
        if size:
            return size
        return MIN_REQUEST_SIZE if self._rate and running < connections * 3 // 4 else DEFAULT_REQUEST_SIZE
