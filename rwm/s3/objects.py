"""Objects: reading by exact version, writing, copying, deleting by exact version."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from boto3.s3.transfer import TransferConfig

from rwm.errors import AccessDenied, BadResponse, Cancelled, Unreachable
from rwm.s3.error_mapping import mapped

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from mypy_boto3_s3 import S3Client

CHUNK = 1 << 20
_MD5 = re.compile("[0-9a-f]{32}")
COPY_WHOLE = 1 << 29  # bytes; restic's packs are far smaller
_WHOLE = TransferConfig(multipart_threshold=COPY_WHOLE, multipart_chunksize=COPY_WHOLE)
BODY_ATTEMPTS = 4
NOT_CONFIRMED = "NotConfirmed"
_GONE_ALREADY = ("NoSuchVersion", "NoSuchKey")  # what was wanted


class DeleteFailure(NamedTuple):
    """A version that the server did not delete, with its code.

    AccessDenied for a locked one, NotConfirmed where the server does not say that it is gone.
    """

    key: str
    version_id: str
    code: str


class BucketReader:
    """Reads versions of one bucket. Holds no way to write; safe to call from any thread.

    ``attempts`` is how often it asks before it gives up; the SDK's own attempts for each come on top. ``allocate``
    makes room for so many bytes.
    """

    def __init__(
        self,
        client: S3Client,
        bucket: str,
        attempts: int = BODY_ATTEMPTS,
        allocate: Callable[[int], WriteableBuffer] = bytearray,
    ) -> None:
        self._client = client
        self._attempts = attempts
        self._allocate = allocate
        self.bucket = bucket

    def read_range(
        self,
        key: str,
        version_id: str,
        start: int,
        stop: int,
        wanted: Callable[[], bool] = lambda: True,
        etag: str = "",
    ) -> bytes | memoryview:
        """Bytes ``start`` to ``stop`` (exclusive) of that version, exactly; see :class:`rwm.model.ObjectReader`."""
        if stop <= start:
            return b""
        attempt = 1
        while True:
            try:
                return self._get(key, version_id, start, stop, wanted, etag)
            except (BadResponse, Unreachable):  # the SDK retries up to the headers; the body is ours to retry
                if attempt >= self._attempts:
                    raise
            time.sleep(random.uniform(0.05, 0.1) * 2**attempt)  # noqa: S311 - jitter
            attempt += 1

    def _get(
        self, key: str, version_id: str, start: int, stop: int, wanted: Callable[[], bool], etag: str
    ) -> memoryview:
        subject = f"{self.bucket}/{key} version {version_id}"
        data = memoryview(self._allocate(stop - start))
        with mapped("GetObject", subject):
            answer = self._client.get_object(
                Bucket=self.bucket, Key=key, VersionId=version_id, Range=f"bytes={start}-{stop - 1}"
            )
            with closing(answer["Body"]) as body:
                _same_version(answer.get("VersionId"), version_id, subject)
                _same_content(answer, etag, subject)
                _same_range(answer, start, stop, subject)
                came = _fill(data, body, wanted, subject)
        if came != len(data):
            raise BadResponse(f"GetObject {subject}: {came} bytes came for bytes {start} to {stop}")
        return data


class Objects:
    """What an account can do with objects. A part of :class:`rwm.s3.S3`."""

    client: S3Client

    def get(self, bucket: str, key: str, version_id: str | None = None) -> bytes:
        """A whole object in memory: for small ones."""
        return b"".join(self.stream(bucket, key, version_id))

    def stream(self, bucket: str, key: str, version_id: str | None = None) -> Iterator[bytes]:
        """The object's bytes in pieces of 1 MiB. Raises BadResponse when fewer came than were announced."""
        subject = f"{bucket}/{key}" + (f" version {version_id}" if version_id else "")
        which: dict[str, Any] = {"VersionId": version_id} if version_id else {}
        with mapped("GetObject", subject):
            answer = self.client.get_object(Bucket=bucket, Key=key, **which)
            _same_version(answer.get("VersionId"), version_id, subject)
            with closing(answer["Body"]) as body:
                yield from body.iter_chunks(CHUNK)

    def put(self, bucket: str, key: str, body: bytes | IO[bytes]) -> str:
        """Write an object in one request and return its version id (``null`` without versioning)."""
        with mapped("PutObject", f"{bucket}/{key}"):
            return str(self.client.put_object(Bucket=bucket, Key=key, Body=body).get("VersionId", "null"))

    def upload(self, bucket: str, key: str, path: Path) -> None:
        """Write a file of any size, in one request if it can be."""
        with mapped("PutObject", f"{bucket}/{key}"):
            self.client.upload_file(str(path), bucket, key, Config=_WHOLE)

    def copy(self, source: str, key: str, version_id: str, target: str) -> None:
        """Copy one version into another bucket of the server under the same key, whatever its size.

        In one request if it can be: Ceph RGW does not find keys with special characters when it copies by parts.
        """
        with mapped("CopyObject", f"{source}/{key} version {version_id} to {target}"):
            self.client.copy({"Bucket": source, "Key": key, "VersionId": version_id}, target, key, Config=_WHOLE)

    def size(self, bucket: str, key: str, version_id: str | None = None) -> int:
        """Size in bytes by HEAD. NotFound when the object (or the version) is absent."""
        which: dict[str, Any] = {"VersionId": version_id} if version_id else {}
        with mapped("HeadObject", f"{bucket}/{key}"):
            return int(self.client.head_object(Bucket=bucket, Key=key, **which)["ContentLength"])

    def delete(self, bucket: str, key: str) -> None:
        """Put a delete marker on the key: what a plain delete does in a versioned bucket."""
        with mapped("DeleteObject", f"{bucket}/{key}"):
            self.client.delete_object(Bucket=bucket, Key=key)

    def delete_versions(self, bucket: str, exact: Sequence[tuple[str, str]]) -> list[DeleteFailure]:
        """Delete exactly these (key, version id) pairs, at most 1,000, and return those that stayed.

        A key that XML cannot carry (control characters) goes in a request of its own.
        """
        plain = [pair for pair in exact if pair[0].isprintable()]
        failures = [fail for pair in exact if not pair[0].isprintable() for fail in self._delete_one(bucket, *pair)]
        if not plain:
            return failures
        objects: list[Any] = [{"Key": key, "VersionId": version} for key, version in plain]
        with mapped("DeleteObjects", bucket):
            answer = self.client.delete_objects(Bucket=bucket, Delete={"Objects": objects})
        return failures + _stayed(plain, dict(answer))

    def _delete_one(self, bucket: str, key: str, version_id: str) -> list[DeleteFailure]:
        try:
            with mapped("DeleteObject", f"{bucket}/{key!r}"):
                answer = self.client.delete_object(Bucket=bucket, Key=key, VersionId=version_id)
        except AccessDenied:
            return [DeleteFailure(key, version_id, "AccessDenied")]
        if answer.get("VersionId", version_id) != version_id:
            return [DeleteFailure(key, version_id, NOT_CONFIRMED)]
        return []

    def abort_upload(self, bucket: str, key: str, upload_id: str) -> None:
        """End an unfinished multipart upload and free its parts."""
        with mapped("AbortMultipartUpload", f"{bucket}/{key}"):
            self.client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)

    def lock_reason(self, bucket: str, key: str, version_id: str) -> str | None:
        """Why the version cannot be deleted (``legal hold``, or retention mode and time), or None."""
        subject = f"{bucket}/{key} version {version_id}"
        with mapped("HeadObject", subject):
            head: dict[str, Any] = dict(self.client.head_object(Bucket=bucket, Key=key, VersionId=version_id))
        if head.get("ObjectLockLegalHoldStatus") == "ON":
            return "legal hold"
        until = head.get("ObjectLockRetainUntilDate")
        if until is not None and until.timestamp() > time.time():
            return f"{head.get('ObjectLockMode', 'locked')} until {until:%Y-%m-%dT%H:%M:%SZ}"
        return None


def _stayed(asked: Sequence[tuple[str, str]], answer: dict[str, Any]) -> list[DeleteFailure]:
    """Of the pairs asked for, those that a DeleteObjects answer does not name as deleted: silence is no success."""
    gone: set[tuple[str, str]] = set()
    for item in answer.get("Deleted", []):
        # SeaweedFS names a delete marker only here. A marker that a server made instead has another id.
        gone |= {(item.get("Key", ""), item.get(name, "")) for name in ("VersionId", "DeleteMarkerVersionId")}
    codes: dict[tuple[str, str], str] = {}
    for error in answer.get("Errors", []):
        pair, code = (error.get("Key", ""), error.get("VersionId", "")), error.get("Code", "Unknown")
        if code in _GONE_ALREADY:
            gone.add(pair)
        else:
            codes[pair] = code
    return [DeleteFailure(*pair, codes.get(pair, NOT_CONFIRMED)) for pair in asked if pair in codes or pair not in gone]


def _same_version(answered: str | None, asked: str | None, subject: str) -> None:
    """A server that ignores the version id would hand out what the attacker wrote."""
    if asked and answered and answered != asked:
        raise BadResponse(f"GetObject {subject}: the server answered with version {answered}")


def _same_content(answer: Mapping[str, Any], etag: str, subject: str) -> None:
    """Refuse content that was written since, where the answer names no version that never changes.

    Only two MD5 sums can be compared: of an object in parts SeaweedFS lists another ETag than it answers with.
    """
    found = str(answer.get("ETag", "")).removeprefix("W/").strip('"')
    is_same = found == etag or not (_MD5.fullmatch(etag) and _MD5.fullmatch(found))
    if not is_same and answer.get("VersionId", "null") == "null":
        raise BadResponse(f"GetObject {subject}: it was overwritten (its ETag was {etag}, and is {found})")


def _same_range(answer: Mapping[str, Any], start: int, stop: int, subject: str) -> None:
    """Refuse other bytes than those asked for. A server that ignores the range sends the object from its start."""
    length = answer.get("ContentLength")
    if length != stop - start:
        came = "no length" if length is None else f"{length} bytes"
        raise BadResponse(f"GetObject {subject}: {came} came for bytes {start} to {stop}")
    said = str(answer.get("ContentRange", "")).partition("/")[0]
    if said and said != f"bytes {start}-{stop - 1}":
        raise BadResponse(f"GetObject {subject}: {said[:60]!r} came for bytes {start} to {stop}")
    if not said and start:
        raise BadResponse(f"GetObject {subject}: the start of the object came for bytes {start} to {stop}")


def _fill(data: memoryview, body: Any, wanted: Callable[[], bool], subject: str) -> int:
    """Read the body to where the data ends; how many bytes came: fewer when the body is shorter."""
    end = 0
    while end < len(data):
        if not wanted():
            raise Cancelled(f"GetObject {subject}: given up, nobody wants it any more")
        chunk = body.read(min(CHUNK, len(data) - end))
        if not chunk:
            break
        data[end : end + len(chunk)] = chunk
        end += len(chunk)
    return end
