"""Copies of objects that are too large for CopyObject: several parts at a time, with all that CopyObject keeps."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

COPY_LIMIT = 5 << 30
"""Bytes: the largest object that CopyObject copies, on every server."""

COPY_PART = 256 << 20
"""Bytes of a part, if these are enough. A server that copies slowly must answer each one in time."""

MAX_PARTS = 10_000
"""Parts of an object, on every server."""

AT_ONCE = 4
"""Parts of one object that are copied at the same time."""

_KEPT = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "Metadata",
    "WebsiteRedirectLocation",
)
"""What CopyObject keeps of the source, and a multipart copy must be told."""


def part_ranges(size: int) -> list[str]:
    """The ranges of bytes of the parts of a copy."""
    part = max(COPY_PART, -(-size // MAX_PARTS))
    return [f"bytes={start}-{min(start + part, size) - 1}" for start in range(0, size, part)]


def copy_in_parts(client: S3Client, source: dict[str, str], place: Any, size: int, options: Any, condition: Any) -> str:
    """Copy the version ``source`` (Bucket, Key, VersionId) to ``place`` (Bucket, Key); returns the id of the copy.

    ``options`` go with the begin of the upload, ``condition`` with its end. Raises the SDK's errors, and leaves no
    upload then.
    """
    head: dict[str, Any] = dict(client.head_object(**source))  # type: ignore[arg-type]
    kept: Any = {name: head[name] for name in _KEPT if head.get(name)}
    upload: Any = {**place, "UploadId": client.create_multipart_upload(**place, **kept, **options)["UploadId"]}
    pool = ThreadPoolExecutor(AT_ONCE)

    def copy_part(number: int, span: str) -> dict[str, Any]:
        request: Any = {**upload, "PartNumber": number, "CopySource": source, "CopySourceRange": span}
        return {"PartNumber": number, "ETag": client.upload_part_copy(**request)["CopyPartResult"]["ETag"]}

    try:
        ranges = part_ranges(size)
        parts: Any = list(pool.map(copy_part, range(1, len(ranges) + 1), ranges))
        done = client.complete_multipart_upload(**upload, **condition, MultipartUpload={"Parts": parts})
        return done.get("VersionId", "")
    except BaseException:
        pool.shutdown(cancel_futures=True)  # a part that arrives after the end would stay
        client.abort_multipart_upload(**upload)
        raise
    finally:
        pool.shutdown(cancel_futures=True)
