"""Batches of deletions: how many are in flight, and what is retried."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import pytest

from rwm.errors import Unreachable
from rwm.prune.delete_batches import PAUSES, THREADS, delete_batch, delete_in_batches
from rwm.prune.key_plan import Deletion
from rwm.s3 import DELETE_BATCH, DeleteFailure
from tests.unit.memory import MemoryS3

BUCKET = "bucket1"


class BusyS3(MemoryS3):
    """Answers the first ``busy`` requests with an error code for every second version."""

    busy = 0
    code = "SlowDown"
    in_flight = most = 0

    def __init__(self) -> None:
        super().__init__(BUCKET)
        self.sizes: list[int] = []
        self.pauses: list[float] = []
        self.sleep = self.pauses.append
        self.mutex = threading.Lock()

    def delete_versions(self, bucket: str, exact: Sequence[tuple[str, str]]) -> list[DeleteFailure]:
        with self.mutex:
            self.sizes.append(len(exact))
            self.in_flight += 1
            self.most = max(self.most, self.in_flight)
        time.sleep(0.001)
        with self.mutex:
            self.in_flight -= 1
            if self.busy:
                self.busy -= 1
                return [DeleteFailure(*pair, self.code) for pair in exact[::2]]
        return []


def number(count: int) -> list[Deletion]:
    return [Deletion(f"k{n}", f"v{n}", 1) for n in range(count)]


def test_requests_in_flight_are_bounded() -> None:
    s3 = BusyS3()
    answers = list(delete_in_batches(s3, BUCKET, number(20 * DELETE_BATCH + 1)))
    assert [item for batch, _ in answers for item in batch] == number(20 * DELETE_BATCH + 1)
    assert 1 < s3.most <= THREADS
    assert max(s3.sizes) == DELETE_BATCH


def test_versions_that_the_server_was_too_busy_for_are_retried() -> None:
    s3 = BusyS3()
    s3.busy = 2
    assert delete_batch(s3, BUCKET, number(8)) == []
    assert s3.sizes == [8, 4, 2]
    assert len(s3.pauses) == 2


def test_a_server_that_stays_busy_fails_these_versions() -> None:
    s3 = BusyS3()
    s3.busy = 100
    failures = delete_batch(s3, BUCKET, number(1))
    assert failures == [DeleteFailure("k0", "v0", "SlowDown")]
    assert len(s3.pauses) == len(PAUSES)


def test_a_refusal_is_not_retried() -> None:
    s3 = BusyS3()
    s3.busy, s3.code = 1, "AccessDenied"
    assert [failure.key for failure in delete_batch(s3, BUCKET, number(3))] == ["k0", "k2"]
    assert (s3.sizes, s3.pauses) == ([3], [])


def test_a_request_without_an_answer_is_retried() -> None:
    class Failing(BusyS3):
        failures = 2

        def delete_versions(self, bucket: str, exact: Sequence[tuple[str, str]]) -> list[DeleteFailure]:
            if self.failures:
                self.failures -= 1
                raise Unreachable("DeleteObjects: SlowDown (HTTP 503)")
            return super().delete_versions(bucket, exact)

    s3 = Failing()
    s3._has_answered = True
    assert delete_batch(s3, BUCKET, number(3)) == []
    assert len(s3.pauses) == 2


def test_no_request_begins_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    s3 = BusyS3()

    def fail(bucket: str, exact: object) -> list[DeleteFailure]:
        s3.sizes.append(1)
        raise Unreachable("no usable answer")

    monkeypatch.setattr(s3, "delete_versions", fail)
    with pytest.raises(Unreachable):
        list(delete_in_batches(s3, BUCKET, number(20 * DELETE_BATCH)))
    assert len(s3.sizes) <= THREADS
