"""Buckets in memory behind the interface of rwm.s3.S3, with a clock of their own."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any

from rwm.errors import AccessDenied, NotFound, S3Error
from rwm.model import ObjectVersion, Retention
from rwm.s3 import S3, DefaultRetention, DeleteFailure, Policy, VersionLock
from rwm.s3.listing.pages import Page
from rwm.s3.listing.sibling_order import Level
from rwm.s3.listing.unknown_keys import UnknownKeys
from rwm.s3.objects import CurrentObject
from rwm.times import SECOND

START = 1_700_000_000_000


def of_object(error_class: type[S3Error], key: str, reason: str) -> S3Error:
    """The error of a read, as the client makes it of an answer."""
    error = error_class(f"GetObject bucket1/{key} version v1: {reason}")
    error.reason = reason
    return error


class MemoryS3(S3):
    """What a versioned S3 server does, in the plainest way: per key a list of entries, newest first.

    Every look at the clock takes a second. ``stuck`` are (key, version id) that cannot be deleted; ``wrong`` replaces
    the bytes of an object on their way. Pauses before retries take no time.
    """

    sleep: Callable[[float], None] = staticmethod(lambda seconds: None)

    def __init__(self, *buckets: str) -> None:
        self.endpoint_url = "memory"
        self.unknown_keys = UnknownKeys()
        self.buckets: dict[str, dict[str, list[ObjectVersion]]] = {bucket: {} for bucket in buckets}
        self.bodies: dict[str, bytes] = {}
        self.now = START
        self.states = dict.fromkeys(buckets, "Enabled")
        self.policies: dict[str, Policy] = {}
        self.rules: dict[str, list[dict[str, Any]]] = {}
        self.granted: list[tuple[str, str]] = []
        self.version_grants: dict[tuple[str, str], list[tuple[str, str]]] = {}
        self.owner = "admin"
        self.account = "user1"
        self.stuck: dict[tuple[str, str], str] = {}
        self.locked: dict[tuple[str, str], str] = {}
        self.object_lock = False
        self.knows_locks = True
        self.unknown_accounts: set[str] = set()
        self.asked_about_locks: list[tuple[str, str]] = []
        self.default_lock: DefaultRetention | None = None
        self.retentions: dict[tuple[str, str], Retention] = {}
        self.lock_requests: list[tuple[str, str]] = []
        self.refused_locks: dict[tuple[str, str], S3Error] = {}
        self.wrong: dict[str, bytes] = {}
        self.denied: set[str] = set()
        self.keeps_etags = True
        self.knows_conditions = True
        self.deleted: list[tuple[str, str]] = []
        self.uploads: list[tuple[str, str, int]] = []
        self.writers: dict[str, str] = {}
        self._lock = threading.Lock()

    # --- contents

    def _add(self, bucket: str, key: str, body: bytes | None) -> str:
        history = self._of(bucket).setdefault(key, [])
        version = f"v{len(self.bodies)}"
        self.bodies[version] = body or b""
        self.writers[version] = self.account
        history[:] = [entry._replace(is_latest=False) for entry in history]
        etag = "" if body is None else f"etag-{version}"
        history.insert(0, ObjectVersion(key, version, True, body is None, len(body or b""), etag, self.now))
        return version

    def _of(self, bucket: str) -> dict[str, list[ObjectVersion]]:
        if bucket not in self.buckets:
            raise NotFound(f"bucket {bucket}: NoSuchBucket")
        return self.buckets[bucket]

    def put(self, bucket: str, key: str, body: bytes | IO[bytes]) -> str:
        return self._add(bucket, key, body if isinstance(body, bytes) else body.read())

    def upload(self, bucket: str, key: str, path: Path) -> None:
        self.put(bucket, key, path.read_bytes())

    def delete(self, bucket: str, key: str) -> None:
        self._add(bucket, key, None)

    def stream(self, bucket: str, key: str, version_id: str | None = None, etag: str | None = None) -> Iterator[bytes]:
        entries = [entry for entry in self._of(bucket).get(key, []) if version_id in (None, entry.version_id)]
        if key in self.denied:
            raise of_object(AccessDenied, key, "AccessDenied (HTTP 403)")
        if not entries or entries[0].is_marker:
            raise of_object(NotFound, key, "NoSuchVersion (HTTP 404)")
        body = self.wrong.get(key, self.bodies[entries[0].version_id])
        yield body[: len(body) // 2]
        yield body[len(body) // 2 :]

    def copy(
        self,
        source: str,
        key: str,
        version_id: str,
        target: str,
        target_key: str | None = None,
        size: int | None = None,
    ) -> None:
        """As on Ceph RGW, a copy has the ETag of its source."""
        new_key = key if target_key is None else target_key
        self.put(target, new_key, b"".join(self.stream(source, key, version_id)))
        etag = next(entry.etag for entry in self._of(source)[key] if entry.version_id == version_id)
        history = self._of(target)[new_key]
        history[0] = history[0]._replace(etag=etag)

    def has_md5_etag(self, bucket: str, key: str, version_id: str) -> bool:
        return True

    def copy_back(
        self,
        bucket: str,
        key: str,
        version_id: str,
        size: int,
        storage_class: str = "",
        over: ObjectVersion | None = None,
    ) -> str:
        self._check_current(bucket, over)
        body = b"".join(self.stream(bucket, key, version_id))
        (source,) = [entry for entry in self._of(bucket)[key] if entry.version_id == version_id]
        with self._lock:
            copy = self._add(bucket, key, body)
            newest = self._of(bucket)[key][0]
            etag = source.etag if self.keeps_etags else newest.etag
            self._of(bucket)[key][0] = newest._replace(etag=etag, storage_class=storage_class or None)
        return copy

    def put_marker_over(self, bucket: str, entry: ObjectVersion) -> str:
        self._check_current(bucket, entry)
        markers, failures = self.put_markers(bucket, [entry.key])
        if failures:
            raise S3Error(failures[0].code)
        return markers[entry.key]

    def _check_current(self, bucket: str, expected: ObjectVersion | None) -> None:
        """As SeaweedFS: a condition is about content, or that nothing is there."""
        if expected is None or not self.knows_conditions:
            return
        newest = self._of(bucket)[expected.key][0]
        if (newest.is_marker, newest.etag) != (expected.is_marker, expected.etag):
            error = S3Error(f"{expected.key}: PreconditionFailed")
            error.code = "PreconditionFailed"
            raise error

    def put_markers(self, bucket: str, keys: Sequence[str]) -> tuple[dict[str, str], list[DeleteFailure]]:
        failed = [DeleteFailure(key, "", self.stuck[key, ""]) for key in keys if (key, "") in self.stuck]
        with self._lock:
            return {key: self._add(bucket, key, None) for key in keys if (key, "") not in self.stuck}, failed

    def current_objects(self, bucket: str, prefix: str) -> Iterator[CurrentObject]:
        for key, version in self.present(bucket).items():
            if key.startswith(prefix):
                yield CurrentObject(key, len(self.bodies[version]), self.writers[version])

    def delete_versions(self, bucket: str, exact: Sequence[tuple[str, str]]) -> list[DeleteFailure]:
        failures = []
        for key, version in exact:
            if self._is_locked(key, version):
                failures.append(DeleteFailure(key, version, "AccessDenied"))
                continue
            if (key, version) in self.stuck:
                failures.append(DeleteFailure(key, version, self.stuck[key, version]))
                continue
            self.deleted.append((key, version))
            self.remove(bucket, key, version)
        return failures

    def remove(self, bucket: str, key: str, version: str) -> None:
        """One version goes; what is newest then is the latest."""
        with self._lock:  # prune deletes in several threads
            rest = [entry for entry in self._of(bucket)[key] if entry.version_id != version]
            self._of(bucket)[key] = [entry._replace(is_latest=n == 0) for n, entry in enumerate(rest)]

    def present(self, bucket: str) -> dict[str, str]:
        """The plain listing: version by key."""
        return {
            key: history[0].version_id
            for key, history in self._of(bucket).items()
            if history and not history[0].is_marker
        }

    def current_keys(self, bucket: str, prefix: str) -> Iterator[str]:
        return iter(sorted(key for key in self.present(bucket) if key.startswith(prefix)))

    def size(self, bucket: str, key: str, version_id: str | None = None) -> int:
        return len(b"".join(self.stream(bucket, key, version_id)))

    def archive(self, bucket: str, key: str, storage_class: str = "GLACIER") -> None:
        """Move all versions of a key to a storage class, as a lifecycle rule does: STANDARD is None."""
        self._of(bucket)[key] = [
            entry
            if entry.is_marker
            else entry._replace(storage_class=None if storage_class == "STANDARD" else storage_class)
            for entry in self._of(bucket)[key]
        ]

    # --- listings

    def versions(self, bucket: str, prefix: str = "", *, page_size: int = 1000) -> Iterator[ObjectVersion]:
        found = self._of(bucket)
        keys = [key for key in sorted(found) if key.startswith(prefix)]
        return iter([entry for key in keys for entry in found[key]])

    def version_batches(
        self, bucket: str, prefix: str = "", *, page_size: int = 1000
    ) -> Iterator[Sequence[ObjectVersion]]:
        listed = self.versions(bucket, prefix, page_size=page_size)
        while batch := list(islice(listed, page_size)):
            yield batch

    def list_pages(
        self, bucket: str, prefix: str = "", *, delimiter: str = "", page_size: int = 1000
    ) -> Iterator[Page]:
        yield Page([*self.versions(bucket, prefix)][:page_size], [], None, None)

    def level(self, bucket: str, prefix: str = "", *, page_size: int = 1000) -> Iterator[Level]:
        inside = list(MemoryS3.versions(self, bucket, prefix))
        keys = [entry for entry in inside if "/" not in entry.key[len(prefix) :]]
        below = {prefix + entry.key[len(prefix) :].partition("/")[0] + "/" for entry in inside if entry not in keys}
        yield Level(keys, sorted(below))

    def unfinished_uploads(self, bucket: str, *, page_size: int = 1000, by: str = "") -> Iterator[tuple[str, str, int]]:
        self._of(bucket)
        return iter(list(self.uploads))

    def abort_upload(self, bucket: str, key: str, upload_id: str) -> None:
        self.uploads = [upload for upload in self.uploads if upload[:2] != (key, upload_id)]

    def server_time(self, bucket: str) -> int:
        self._of(bucket)
        now = self.now // SECOND * SECOND
        self.now += SECOND
        return now

    def stamp_time(self, bucket: str, key: str) -> int:
        return self.now

    def knows_grantee(self, bucket: str, key: str, account: str) -> bool:
        return account not in self.unknown_accounts

    # --- buckets

    def list_buckets(self) -> list[str]:
        return sorted(self.buckets)

    def bucket_exists(self, bucket: str) -> bool:
        return bucket in self.buckets

    def create_bucket(self, bucket: str, *, object_lock: bool = False) -> None:
        self.object_lock = object_lock and self.knows_locks
        self.buckets[bucket] = {}
        self.states[bucket] = ""

    def delete_bucket(self, bucket: str) -> None:
        assert not any(self._of(bucket).values())
        del self.buckets[bucket]

    def enable_versioning(self, bucket: str) -> None:
        self.states[bucket] = "Enabled"

    def versioning(self, bucket: str) -> str:
        self._of(bucket)
        return self.states[bucket]

    def owner_id(self) -> str:
        return self.account

    def acl(self, bucket: str) -> tuple[str, list[tuple[str, str]]]:
        return self.owner, [(self.owner, "FULL_CONTROL"), *self.granted]

    def version_acl(self, bucket: str, key: str, version_id: str) -> tuple[str, list[tuple[str, str]]]:
        owner = self.writers.get(version_id, self.owner)
        return owner, [(owner, "FULL_CONTROL"), *self.version_grants.get((key, version_id), [])]

    def make_private(self, bucket: str) -> None:
        self.granted = []

    def policy(self, bucket: str) -> Policy | None:
        return self.policies.get(bucket)

    def put_policy(self, bucket: str, policy: Policy) -> None:
        self._of(bucket)
        self.policies[bucket] = policy

    def delete_policy(self, bucket: str) -> None:
        self.policies.pop(bucket, None)

    def lifecycle_rules(self, bucket: str) -> list[dict[str, Any]]:
        return self.rules.get(bucket, [])

    def put_lifecycle_rules(self, bucket: str, rules: list[dict[str, Any]]) -> None:
        self.rules[bucket] = rules

    def has_object_lock(self, bucket: str) -> bool:
        return self.object_lock

    def _is_locked(self, key: str, version_id: str) -> bool:
        retention = self.retentions.get((key, version_id))
        return self.object_lock and (
            (key, version_id) in self.locked or (retention is not None and retention.until > self.now)
        )

    def version_lock(self, bucket: str, key: str, version_id: str) -> VersionLock:
        self.asked_about_locks.append((key, version_id))
        retention = self.retentions.get((key, version_id))
        until = 0 if retention is None else retention.until
        return VersionLock((key, version_id) in self.locked, "GOVERNANCE", until)

    def put_retention(self, bucket: str, key: str, version_id: str, retention: Retention) -> None:
        """Extend only, as all servers do without a bypass; ``refused_locks`` raise their errors."""
        with self._lock:
            self.lock_requests.append((key, version_id))
            if error := self.refused_locks.get((key, version_id)):
                raise error
            if all(entry.version_id != version_id for entry in self._of(bucket).get(key, ())):
                missing = NotFound(f"{key}: NoSuchKey")
                missing.code = "NoSuchKey"
                raise missing
            current = self.retentions.get((key, version_id))
            if current and (current.until > retention.until or current.mode != retention.mode):
                refusal = AccessDenied(f"PutObjectRetention {key}: AccessDenied")
                refusal.code = "AccessDenied"
                raise refusal
            self.retentions[key, version_id] = retention

    def retention(self, bucket: str, key: str, version_id: str) -> Retention | None:
        return self.retentions.get((key, version_id))

    def default_retention(self, bucket: str) -> DefaultRetention | None:
        if not self.object_lock and self.default_lock is None:
            raise NotFound("GetObjectLockConfiguration: ObjectLockConfigurationNotFoundError")
        return self.default_lock

    def put_default_retention(self, bucket: str, retention: DefaultRetention) -> None:
        if not self.object_lock:
            error = S3Error("PutObjectLockConfiguration: InvalidBucketState")
            error.code = "InvalidBucketState"
            raise error
        self.default_lock = retention

    def counts(self, bucket: str) -> Counter[str]:
        """How many versions and markers there are."""
        return Counter("marker" if entry.is_marker else "version" for entry in self.versions(bucket))
