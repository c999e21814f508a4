"""Whole objects: read, write and copy; delete exact versions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from boto3.s3.transfer import TransferConfig

from rwm.errors import AccessDenied, BadResponse, NotFound
from rwm.s3.error_mapping import mapped
from rwm.s3.part_copy import COPY_LIMIT, copy_in_parts
from rwm.s3.response_checks import check_content, check_version, content_md5
from rwm.times import SECOND

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CHUNK = 1 << 20
DELETE_BATCH = 250
"""Versions to delete in one request: Ceph RGW takes 15 s for 1,000."""
SINGLE_REQUEST_LIMIT = 1 << 29  # bytes; restic's packs are far smaller
_SINGLE_REQUEST = TransferConfig(multipart_threshold=SINGLE_REQUEST_LIMIT, multipart_chunksize=SINGLE_REQUEST_LIMIT)
NOT_CONFIRMED = "NotConfirmed"
_ALREADY_DELETED = ("NoSuchVersion", "NoSuchKey")


class DeleteFailure(NamedTuple):
    """A version that the server did not delete, and its error code.

    AccessDenied for a locked version, NotConfirmed where the response does not name the version as deleted.
    """

    key: str
    version_id: str
    code: str


class VersionLock(NamedTuple):
    """Why a version cannot be deleted. ``until`` is 0 without a retention; it may be over."""

    is_held: bool
    mode: str
    until: int


class CurrentObject(NamedTuple):
    """An object in the plain listing."""

    key: str
    size: int
    owner: str


class Objects:
    """Operations on objects. A part of :class:`rwm.s3.S3`."""

    client: S3Client
    patient: S3Client
    """For copies: it waits longer for an answer, since a server may answer when it has copied the last byte."""

    def get(self, bucket: str, key: str, version_id: str | None = None) -> bytes:
        """A whole object in memory: for small ones."""
        return b"".join(self.stream(bucket, key, version_id))

    def stream(self, bucket: str, key: str, version_id: str | None = None, etag: str | None = None) -> Iterator[bytes]:
        """The object's bytes in chunks of 1 MiB. Raises Unreachable when the body is shorter than announced.

        With ``etag``, the recorded one, the content is compared with the ETag of the response where that is the MD5 sum
        of the content: BadResponse, after the last chunk, if they differ.
        """
        subject = f"{bucket}/{key}" + (f" version {version_id}" if version_id else "")
        with mapped("GetObject", subject):
            response = self.client.get_object(Bucket=bucket, Key=key, **_version_argument(version_id))
            check_version(response.get("VersionId"), version_id, subject)
            expected = None
            if etag is not None:
                check_content(response, etag, subject)
                expected = content_md5(response)
            with closing(response["Body"]) as body:
                chunks = body.iter_chunks(CHUNK)
                yield from chunks if expected is None else _with_md5(chunks, expected, subject)

    def put(self, bucket: str, key: str, body: bytes | IO[bytes]) -> str:
        """Write an object in one request; return its version id (``null`` without versioning)."""
        with mapped("PutObject", f"{bucket}/{key}"):
            return str(self.client.put_object(Bucket=bucket, Key=key, Body=body).get("VersionId", "null"))

    def upload(self, bucket: str, key: str, path: Path) -> None:
        """Write a file of any size, in one request up to 512 MiB."""
        with mapped("PutObject", f"{bucket}/{key}"):
            self.client.upload_file(str(path), bucket, key, Config=_SINGLE_REQUEST)

    def copy(
        self,
        source: str,
        key: str,
        version_id: str,
        target: str,
        target_key: str | None = None,
        size: int | None = None,
    ) -> None:
        """Copy one version of any size into a bucket of the server (``target``), by default under the same key.

        In one request up to 5 GiB; larger ones by a multipart copy. Without its ``size`` in bytes, a HEAD asks for it.
        Ceph RGW does not find keys with special characters in multipart copies.
        """
        new_key = key if target_key is None else target_key
        version = {"Bucket": source, "Key": key, "VersionId": version_id}
        with mapped("CopyObject", f"{source}/{key} version {version_id} to {target}"):
            size = self.size(source, key, version_id) if size is None else size
            if size > COPY_LIMIT:
                copy_in_parts(self.patient, version, {"Bucket": target, "Key": new_key}, size, {}, {})
            else:
                self.patient.copy_object(Bucket=target, Key=new_key, CopySource=version)  # type: ignore[arg-type]

    def has_md5_etag(self, bucket: str, key: str, version_id: str) -> bool:
        """Whether the version's ETag is the MD5 sum of its content, by HEAD: not of parts, nor of encrypted content."""
        with mapped("HeadObject", f"{bucket}/{key} version {version_id}"):
            head = self.client.head_object(Bucket=bucket, Key=key, VersionId=version_id)
        return content_md5(head) is not None

    def size(self, bucket: str, key: str, version_id: str | None = None) -> int:
        """Size in bytes by HEAD. NotFound when the object (or the version) is absent."""
        with mapped("HeadObject", f"{bucket}/{key}"):
            response = self.client.head_object(Bucket=bucket, Key=key, **_version_argument(version_id))
            return int(response["ContentLength"])

    def delete(self, bucket: str, key: str) -> None:
        """Put a delete marker on the key: what a plain delete does in a versioned bucket."""
        with mapped("DeleteObject", f"{bucket}/{key}"):
            self.client.delete_object(Bucket=bucket, Key=key)

    def delete_versions(self, bucket: str, exact: Sequence[tuple[str, str]]) -> list[DeleteFailure]:
        """Delete exactly these (key, version id) pairs, at most 1,000; return those that are not deleted.

        A key that XML cannot represent (control characters) is deleted in a request of its own.
        """
        in_xml = [pair for pair in exact if pair[0].isprintable()]
        single = [pair for pair in exact if not pair[0].isprintable()]
        failures = [failure for pair in single for failure in self._delete_version(bucket, *pair)]
        if not in_xml:
            return failures
        objects: list[Any] = [{"Key": key, "VersionId": version} for key, version in in_xml]
        with mapped("DeleteObjects", bucket):
            response = self.client.delete_objects(Bucket=bucket, Delete={"Objects": objects})
        return failures + _delete_failures(in_xml, dict(response))

    def current_keys(self, bucket: str, prefix: str) -> Iterator[str]:
        """The keys below a prefix in the plain listing: their exact names, also where the version listing has not."""
        request: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix}
        while True:
            with mapped("ListObjectsV2", bucket):
                response = self.client.list_objects_v2(**request)
            keys = [item["Key"] for item in response.get("Contents", [])]
            yield from keys
            if not response.get("IsTruncated") or not keys or keys[-1] <= request.get("StartAfter", ""):
                return
            request["StartAfter"] = keys[-1]

    def current_objects(self, bucket: str, prefix: str) -> Iterator[CurrentObject]:
        """What the plain listing has below a prefix, with the owner of each; empty if the server does not tell."""
        request: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix, "FetchOwner": True}
        while True:
            with mapped("ListObjectsV2", bucket):
                response = self.client.list_objects_v2(**request)
            for item in response.get("Contents", []):
                yield CurrentObject(item["Key"], item["Size"], item.get("Owner", {}).get("ID", ""))
            if not response.get("IsTruncated") or not response.get("NextContinuationToken"):
                return
            request["ContinuationToken"] = response["NextContinuationToken"]

    def _delete_version(self, bucket: str, key: str, version_id: str) -> list[DeleteFailure]:
        try:
            with mapped("DeleteObject", f"{bucket}/{key!r}"):
                response = self.client.delete_object(Bucket=bucket, Key=key, VersionId=version_id)
        except AccessDenied:
            return [DeleteFailure(key, version_id, "AccessDenied")]
        if response.get("VersionId", version_id) != version_id:
            return [DeleteFailure(key, version_id, NOT_CONFIRMED)]
        return []

    def stamp_time(self, bucket: str, key: str) -> int:
        """The time in milliseconds that the server gives to what is written now, by the clock of LastModified.

        The Date header may have another clock, that of a gateway. The time is that of a part of a multipart upload of
        ``key``, which is aborted: no version is written.
        """
        with mapped("CreateMultipartUpload", f"{bucket}/{key}"):
            upload = self.client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
        try:
            with mapped("UploadPart", f"{bucket}/{key}"):
                self.client.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=1, Body=b"\n")
            with mapped("ListParts", f"{bucket}/{key}"):
                parts = self.client.list_parts(Bucket=bucket, Key=key, UploadId=upload).get("Parts", [])
        finally:
            self.abort_upload(bucket, key, upload)
        if not parts:
            raise BadResponse(f"ListParts {bucket}/{key}: the part that was written is not listed")
        return int(parts[0]["LastModified"].timestamp() * 1000)

    def knows_grantee(self, bucket: str, key: str, account: str) -> bool:
        """Whether the server takes a grant to the account with this id. Ceph RGW refuses it for one that it lacks.

        Others may take any. The grant is that of a multipart upload of ``key``, which is aborted: no version is
        written.
        """
        try:
            with mapped("CreateMultipartUpload", f"{bucket}/{key}"):
                answer = self.client.create_multipart_upload(Bucket=bucket, Key=key, GrantRead=f'id="{account}"')
        except NotFound as error:
            if error.code == "NoSuchBucket":
                raise
            return False
        self.abort_upload(bucket, key, answer["UploadId"])
        return True

    def abort_upload(self, bucket: str, key: str, upload_id: str) -> None:
        """Abort an unfinished multipart upload and free its parts."""
        with mapped("AbortMultipartUpload", f"{bucket}/{key}"):
            self.client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)

    def version_lock(self, bucket: str, key: str, version_id: str) -> VersionLock:
        """The lock of a version. Raises NotSupported for a delete marker, which has none."""
        with mapped("HeadObject", f"{bucket}/{key} version {version_id}"):
            head: dict[str, Any] = dict(self.client.head_object(Bucket=bucket, Key=key, VersionId=version_id))
        until = head.get("ObjectLockRetainUntilDate")
        return VersionLock(
            head.get("ObjectLockLegalHoldStatus") == "ON",
            str(head.get("ObjectLockMode", "locked")),
            0 if until is None else int(until.timestamp()) * SECOND,
        )


def _version_argument(version_id: str | None) -> dict[str, Any]:
    return {"VersionId": version_id} if version_id else {}


def _with_md5(chunks: Iterator[bytes], expected: str, subject: str) -> Iterator[bytes]:
    """The chunks; BadResponse after the last one if the MD5 sum of all is another one."""
    digest = hashlib.md5(usedforsecurity=False)
    for chunk in chunks:
        digest.update(chunk)
        yield chunk
    if (found := digest.hexdigest()) != expected:
        raise BadResponse(f"GetObject {subject}: the content has the MD5 sum {found}, its ETag is {expected}")


def _delete_failures(requested: Sequence[tuple[str, str]], response: dict[str, Any]) -> list[DeleteFailure]:
    """The requested pairs that a DeleteObjects response does not name as deleted."""
    deleted: set[tuple[str, str]] = set()
    for item in response.get("Deleted", []):
        # SeaweedFS reports a deleted marker only as DeleteMarkerVersionId. A marker that was added has another id.
        deleted |= {(item.get("Key", ""), item.get(name, "")) for name in ("VersionId", "DeleteMarkerVersionId")}
    codes: dict[tuple[str, str], str] = {}
    for error in response.get("Errors", []):
        pair, code = (error.get("Key", ""), error.get("VersionId", "")), error.get("Code", "Unknown")
        if code in _ALREADY_DELETED:
            deleted.add(pair)
        else:
            codes[pair] = code
    return [
        DeleteFailure(*pair, codes.get(pair, NOT_CONFIRMED))
        for pair in requested
        if pair in codes or pair not in deleted
    ]
