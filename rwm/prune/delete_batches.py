"""Delete many versions: batches in flight up to a limit, each retried while the server is in trouble."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

from rwm.prune.key_plan import Deletion
from rwm.s3 import DELETE_BATCH, S3, DeleteFailure

THREADS = 4
"""Requests in flight. Few: many simultaneous deletes have made bucket indexes of Ceph RGW hang."""

TRANSIENT = frozenset({"SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "OperationAborted"})
"""Error codes of single versions inside a successful answer that may differ next time."""

PAUSES = (0.5, 2.0, 8.0, 30.0)
"""Seconds before each retry of the versions with such a code."""

Batch = Sequence[Deletion]


def delete_in_batches(
    s3: S3, bucket: str, deletions: Iterable[Deletion], threads: int | None = None
) -> Generator[tuple[Batch, list[DeleteFailure]]]:
    """Delete in the given order; yield each batch that was answered, and what of it the server did not delete.

    ``threads`` is the number of requests in flight (default: :data:`THREADS`).

    When the caller stops, or a request fails for good, the requests in flight end first and no other begins. Raises the
    errors of requests.
    """
    ordered = iter(deletions)
    in_flight: deque[tuple[Batch, Future[list[DeleteFailure]]]] = deque()
    threads = threads or THREADS
    with ThreadPoolExecutor(threads) as pool:
        while True:
            while len(in_flight) < threads and (batch := list(islice(ordered, DELETE_BATCH))):
                in_flight.append((batch, pool.submit(delete_batch, s3, bucket, batch)))
            if not in_flight:
                return
            sent, answer = in_flight.popleft()
            yield sent, answer.result()


def delete_batch(s3: S3, bucket: str, batch: Batch) -> list[DeleteFailure]:
    """Delete one batch; return what the server did not delete, after retries."""
    wanted = [(item.key, item.version_id) for item in batch]
    failures: list[DeleteFailure] = []
    for pause in (*PAUSES, None):
        pairs = wanted
        found = s3.retry(lambda: s3.delete_versions(bucket, pairs), f"DeleteObjects {bucket}")  # noqa: B023 - at once
        if pause is None:
            return failures + found
        again = [failure for failure in found if failure.code in TRANSIENT]
        failures += [failure for failure in found if failure.code not in TRANSIENT]
        if not again:
            break
        wanted = [(failure.key, failure.version_id) for failure in again]
        s3.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
    return failures
