"""Reading parts of object versions: the contract of a reader, and the reader of one bucket.

What a reader (:class:`rwm.model.ObjectReader`) owes its caller:

- **Exact bytes or an error.** A body that is too short, another range or another version raises BadResponse; no byte of
  it is returned. A body that is cut off raises Unreachable.
- **Only a 404 is NotFound**: the version is gone. 401 and 403 are AccessDenied, other refusals S3Error.
- **Retries** repeat the whole range, after BadResponse and Unreachable only, up to ``attempts`` requests, with jittered
  pauses of 0.1 to 0.2 s that double each time. The SDK has its own retries, which end at the response headers.
- **The version** ``null`` may be overwritten in place: its ETag is compared with the recorded one where both are MD5
  sums, and a mismatch raises BadResponse.
- **Cancellation.** ``wanted`` is called before each MiB of the body; False closes the connection and raises Cancelled.
- **Read-only**, and safe to call from any thread.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Any

from rwm.errors import BadResponse, Cancelled, Unreachable
from rwm.s3.error_mapping import mapped
from rwm.s3.response_checks import check_content, check_range, check_version

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from mypy_boto3_s3 import S3Client

ATTEMPTS = 4
CHUNK = 1 << 20  # bytes between checks whether the read is still wanted


class BucketReader:
    """Reads versions of one bucket, as the module's contract says. Has no way to write.

    ``attempts`` is the number of requests for a range before its error is raised. ``allocate`` makes a buffer of the
    given size, which is filled and returned.
    """

    def __init__(
        self,
        client: S3Client,
        bucket: str,
        attempts: int = ATTEMPTS,
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
        """Bytes ``start`` to ``stop`` (exclusive) of that version. ``etag`` is the recorded one, or empty."""
        if stop <= start:
            return b""
        attempt = 1
        while True:
            try:
                return self._get(key, version_id, start, stop, wanted, etag)
            except (BadResponse, Unreachable):
                if attempt >= self._attempts:
                    raise
            time.sleep(random.uniform(0.05, 0.1) * 2**attempt)  # noqa: S311 - jitter
            attempt += 1

    def _get(
        self, key: str, version_id: str, start: int, stop: int, wanted: Callable[[], bool], etag: str
    ) -> memoryview:
        """One request, checked."""
        subject = f"{self.bucket}/{key} version {version_id}"
        data = memoryview(self._allocate(stop - start))
        with mapped("GetObject", subject):
            response = self._client.get_object(
                Bucket=self.bucket, Key=key, VersionId=version_id, Range=f"bytes={start}-{stop - 1}"
            )
            with closing(response["Body"]) as body:
                check_version(response.get("VersionId"), version_id, subject)
                check_content(response, etag, subject)
                check_range(response, start, stop, subject)
                size = _read_into(data, body, wanted, subject)
        if size != len(data):
            raise BadResponse(f"GetObject {subject}: received {size} bytes for bytes {start} to {stop}")
        return data


def _read_into(data: memoryview, body: Any, wanted: Callable[[], bool], subject: str) -> int:
    """Read the body until ``data`` is full; return the bytes read, fewer when the body is shorter."""
    end = 0
    while end < len(data):
        if not wanted():
            raise Cancelled(f"GetObject {subject}: cancelled by the caller")
        chunk = body.read(min(CHUNK, len(data) - end))
        if not chunk:
            break
        data[end : end + len(chunk)] = chunk
        end += len(chunk)
    return end
