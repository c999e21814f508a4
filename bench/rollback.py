"""Requests of a roll back on real servers: copies, delete markers put and removed, beside boto3 alone."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from bench.options import Options
from bench.table import count, median, ratio, show
from rwm.index import Index
from rwm.location import Location
from rwm.model import Deed, OperationChange
from rwm.operations import begin_operation, new_operation
from rwm.rollback import THREADS, KeyPlan, RollbackPlan, execute_plan
from rwm.s3 import DELETE_BATCH, S3
from tests import servers

T = TypeVar("T")
R = TypeVar("R")

SIZE = 4 << 10
"""Bytes of each object: what counts are requests."""

BOTO3, RWM = "boto3, as many threads", "rwm, recorded"
Speeds = dict[tuple[str, str], list[tuple[float, float]]]
"""Changes a second and CPU microseconds of the client for each, by what is done and by whom."""


def main(options: Options) -> None:
    """Measure on each server that is installed."""
    for start, program in ((servers.seaweedfs, "weed"), (servers.rgw, "radosgw")):
        if start is servers.seaweedfs or shutil.which(program):
            with (
                start() as server,
                tempfile.TemporaryDirectory(prefix="rwm-bench-") as name,
                Index.open(Path(name) / "index.sqlite") as index,
            ):
                _measure(server.name, server.connect(), index, options)


def _measure(name: str, s3: S3, index: Index, options: Options) -> None:
    objects = max(DELETE_BATCH, options.real // 10)
    speeds: Speeds = defaultdict(list)
    keys = [f"data/{number * 256 // objects:02x}/{number:064x}" for number in range(objects)]
    for number in range(options.rounds):
        for kind in (_Bare, _Recorded) if number % 2 else (_Recorded, _Bare):
            bucket = f"bench-{number}-{kind.__name__.strip('_').lower()}"
            s3.create_bucket(bucket)
            s3.enable_versioning(bucket)
            versions = _at_once(partial(_put, s3, bucket), keys)
            who = kind(s3, bucket, index)
            _timed(speeds, "copy", who, objects, partial(who.copy, dict(zip(keys, versions, strict=True))))
            _timed(speeds, "put delete markers", who, objects, partial(who.mark, keys))
            _timed(speeds, "remove delete markers", who, objects, partial(who.unmark, who.markers()))
    medians = {place: [median(values) for values in zip(*found, strict=True)] for place, found in speeds.items()}
    rows = [
        (
            f"{what}: {who}",
            count(speed),
            ratio(speed, medians[what, BOTO3][0]),
            count(used),
            ratio(used, medians[what, BOTO3][1]),
        )
        for (what, who), (speed, used) in sorted(medians.items())
    ]
    title = f"{count(objects)} objects of {SIZE} bytes on {name}, {THREADS} threads, median of {options.rounds}"
    show(title, ("", "changes/s", "ratio", "client CPU: µs/change", "ratio"), rows)


class _Bare:
    """The same requests by boto3 alone."""

    label = BOTO3

    def __init__(self, s3: S3, bucket: str, index: Index) -> None:
        self._client = s3.client
        self._bucket = bucket
        self._marked: list[tuple[str, str]] = []

    def copy(self, sources: dict[str, str]) -> None:
        def copy(item: tuple[str, str]) -> object:
            key, version = item
            source: Any = {"Bucket": self._bucket, "Key": key, "VersionId": version}
            return self._client.copy_object(Bucket=self._bucket, Key=key, CopySource=source)

        _at_once(copy, sources.items())

    def mark(self, keys: Sequence[str]) -> None:
        def mark(batch: Sequence[str]) -> list[tuple[str, str]]:
            objects: Any = [{"Key": key} for key in batch]
            done = self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": objects})
            return [(each["Key"], each["DeleteMarkerVersionId"]) for each in done["Deleted"]]

        self._marked = [pair for pairs in _at_once(mark, _batches(keys)) for pair in pairs]

    def markers(self) -> dict[str, str]:
        return dict(self._marked)

    def unmark(self, markers: dict[str, str]) -> None:
        def unmark(batch: Sequence[tuple[str, str]]) -> object:
            objects: Any = [{"Key": key, "VersionId": version} for key, version in batch]
            return self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": objects})

        _at_once(unmark, _batches(list(markers.items())))


class _Recorded:
    """The changes of a plan, recorded in the index and in the bucket."""

    label = RWM

    def __init__(self, s3: S3, bucket: str, index: Index) -> None:
        self._s3 = s3
        self._location = Location(bucket)
        self._index = index
        self._marked = ""

    def copy(self, sources: dict[str, str]) -> None:
        self._execute(
            "copied", [OperationChange("copied", key, "", source, size=SIZE) for key, source in sources.items()]
        )

    def mark(self, keys: Sequence[str]) -> None:
        self._marked = self._execute("marked", [OperationChange("marked", key, "") for key in keys])

    def markers(self) -> dict[str, str]:
        made = self._index.operations.changes(self._location, self._marked)
        return {change.key: change.version_id for _, change in made}

    def unmark(self, markers: dict[str, str]) -> None:
        self._execute("unmarked", [OperationChange("unmarked", key, marker) for key, marker in markers.items()])

    def _execute(self, did: Deed, changes: Iterable[OperationChange]) -> str:
        with RollbackPlan(self._location, "bench", did) as plan:
            for change in changes:
                plan.add(change.key, KeyPlan((change,)))
            operation = new_operation(self._s3, "bench", self._location)
            with begin_operation(self._s3, self._index, operation, plan.spool) as log:
                result = execute_plan(self._s3, plan, log)
        assert not result.failures
        return operation.id


def _put(s3: S3, bucket: str, key: str) -> str:
    return s3.put(bucket, key, bytes(SIZE))


def _timed(speeds: Speeds, what: str, who: _Bare | _Recorded, changes: int, run: Callable[[], R]) -> R:
    begun, used = time.monotonic(), time.process_time()
    result = run()
    speed, used = changes / (time.monotonic() - begun), time.process_time() - used
    speeds[what, who.label].append((speed, used / changes * 1e6))
    return result


def _batches(items: Sequence[T]) -> list[Sequence[T]]:
    return [items[start : start + DELETE_BATCH] for start in range(0, len(items), DELETE_BATCH)]


def _at_once(function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(function, items))
