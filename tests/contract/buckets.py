"""Buckets for single tests, and a model of their versions."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

from rwm.model import ObjectVersion
from rwm.s3 import S3

T = TypeVar("T")
R = TypeVar("R")


def unique(stem: str) -> str:
    """A bucket name that no other test has."""
    return f"{stem}-{secrets.token_hex(5)}"


def versioned(s3: S3, stem: str = "contract") -> str:
    """A new versioned bucket without a policy."""
    bucket = unique(stem)
    s3.create_bucket(bucket)
    s3.enable_versioning(bucket)
    return bucket


def at_once(function: Callable[[T], R], items: Iterable[T], threads: int = 8) -> list[R]:
    """``function`` for each item, several at a time; results in the order of the items."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, items))


def next_second(s3: S3, bucket: str) -> int:
    """Wait for the server's next second; returns the one that is over."""
    now = s3.server_time(bucket)
    while s3.server_time(bucket) <= now:
        time.sleep(0.02)
    return now


class Written(NamedTuple):
    """One version or marker that the model expects, without its time."""

    key: str
    version_id: str
    is_latest: bool
    is_marker: bool
    size: int


class Model:
    """Puts and deletions by key, and the listing that follows from them."""

    def __init__(self, s3: S3, bucket: str) -> None:
        self.s3 = s3
        self.bucket = bucket
        self.histories: dict[str, list[tuple[str, bytes | None]]] = {}

    def put(self, key: str, body: bytes) -> str:
        version = self.s3.put(self.bucket, key, body)
        self.histories.setdefault(key, []).insert(0, (version, body))
        return version

    def delete(self, key: str) -> str:
        answer = self.s3.client.delete_object(Bucket=self.bucket, Key=key)
        assert answer["DeleteMarker"] is True
        self.histories.setdefault(key, []).insert(0, (answer["VersionId"], None))
        return answer["VersionId"]

    def expected(self, prefix: str = "") -> list[Written]:
        """All entries below the prefix: keys in order, within a key newest first."""
        return [
            Written(key, version, place == 0, body is None, len(body or b""))
            for key in sorted(self.histories)
            if key.startswith(prefix)
            for place, (version, body) in enumerate(self.histories[key])
        ]

    def current(self) -> dict[str, str]:
        """Version id by key, of what a plain listing shows."""
        return {key: history[0][0] for key, history in self.histories.items() if history[0][1] is not None}


def written(versions: Iterable[ObjectVersion]) -> list[Written]:
    """A listing without times and ETags."""
    return [Written(v.key, v.version_id, v.is_latest, v.is_marker, v.size) for v in versions]


def by_key_order(versions: Iterable[ObjectVersion]) -> list[Written]:
    """The same with keys sorted by byte, for SeaweedFS, which sorts them by path component."""
    return sorted(written(versions), key=lambda entry: entry.key)
