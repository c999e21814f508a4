"""Listings: versions, and unfinished uploads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rwm.errors import BadResponse, RwmError
from rwm.listing import ListingCheck
from rwm.model import ObjectVersion
from rwm.pages import Page, UploadPage, parse_page, parse_uploads
from rwm.s3.mapping import mapped
from rwm.times import parse_http_date

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_RAW = "RawBody"
_ROOTS = {"ListObjectVersions": b"VersionsResult", "ListMultipartUploads": b"ListMultipartUploadsResult"}
_EMPTY = b"<Empty/>"


def keep_raw_listings(client: S3Client) -> None:
    """Hand out the raw body of listings, and let botocore parse an empty page in its place.

    The wildcard puts this before botocore's own look at ``before-parse.s3.*``, which would take a key that XML cannot
    carry for a server error.
    """

    def keep(
        operation_model: Any, response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any
    ) -> None:
        body = response_dict["body"]
        # Anything else is an error with status 200, which botocore tries again.
        if response_dict["status_code"] < 300 and _ROOTS[operation_model.name] in body[:500]:
            customized_response_dict[_RAW] = body
            response_dict["body"] = _EMPTY

    for operation in _ROOTS:
        client.meta.events.register(f"before-parse.*.{operation}", keep)


class Versions:
    """What an account can do with versions as such. A part of :class:`rwm.s3.S3`."""

    client: S3Client

    def list_pages(
        self, bucket: str, prefix: str = "", *, delimiter: str = "", page_size: int = 1000
    ) -> Iterator[Page]:
        """The pages of one listing, checked: a listing that is not whole raises, it never ends early.

        Raises BadResponse for malformed, repeated or backward pages, and the errors of :func:`mapped`.
        """
        check = ListingCheck(prefix)
        seen: set[tuple[str, str]] = set()
        markers: dict[str, str] = {}
        while True:
            page = self._page(bucket, prefix, delimiter, page_size, markers)
            try:
                check.entries(page.versions)
            except RwmError as error:
                raise BadResponse(f"ListObjectVersions {bucket}: {error.message}") from error
            yield page
            if page.next_key is None:
                return
            here = (page.next_key, page.next_version or "")
            if here in seen:
                raise BadResponse(f"ListObjectVersions {bucket}: the server repeats the marker {here!r}")
            seen.add(here)
            markers = {"KeyMarker": here[0]} | ({"VersionIdMarker": here[1]} if here[1] else {})

    def _page(self, bucket: str, prefix: str, delimiter: str, page_size: int, markers: dict[str, str]) -> Page:
        request: dict[str, Any] = {"Bucket": bucket, "MaxKeys": page_size, "EncodingType": "url", **markers}
        if prefix:
            request["Prefix"] = prefix
        if delimiter:
            request["Delimiter"] = delimiter
        with mapped("ListObjectVersions", bucket):
            answer: dict[str, Any] = dict(self.client.list_object_versions(**request))
        try:
            return parse_page(answer.get(_RAW, b""))
        except RwmError as error:
            raise BadResponse(f"ListObjectVersions {bucket}: {error.message}") from error

    def versions(self, bucket: str, prefix: str = "", *, page_size: int = 1000) -> Iterator[ObjectVersion]:
        """Every entry below ``prefix``, per key newest first."""
        for page in self.list_pages(bucket, prefix, page_size=page_size):
            yield from page.versions

    def top_level(self, bucket: str, *, page_size: int = 1000) -> tuple[list[ObjectVersion], list[str]]:
        """The entries of keys without ``/``, and the prefixes (``data/`` …) of all others, sorted."""
        roots: list[ObjectVersion] = []
        prefixes: set[str] = set()
        for page in self.list_pages(bucket, delimiter="/", page_size=page_size):
            roots.extend(page.versions)
            prefixes.update(page.prefixes)
        return roots, sorted(prefixes)

    def server_time(self, bucket: str) -> int:
        """The server's own clock, a whole second in milliseconds (Date header). Raises BadResponse without one."""
        with mapped("HeadBucket", bucket):
            answer = self.client.head_bucket(Bucket=bucket)
        header = answer["ResponseMetadata"]["HTTPHeaders"].get("date", "")
        try:
            return parse_http_date(header)
        except (ValueError, TypeError) as error:
            raise BadResponse(f"HeadBucket {bucket}: the answer has no usable Date header ({header!r})") from error

    def unfinished_uploads(self, bucket: str, *, page_size: int = 1000) -> Iterator[tuple[str, str, int]]:
        """(key, upload id, time begun) of multipart uploads that were neither completed nor aborted."""
        seen: set[tuple[str, str]] = set()
        here = ("", "")
        while True:
            page = self._uploads(bucket, page_size, *here)
            yield from page.uploads
            here = (page.next_key, page.next_upload)
            if not any(here):
                return
            if here in seen:
                raise BadResponse(f"ListMultipartUploads {bucket}: the server repeats the marker {here!r}")
            seen.add(here)

    def _uploads(self, bucket: str, page_size: int, key: str, upload: str) -> UploadPage:
        request: dict[str, Any] = {"Bucket": bucket, "MaxUploads": page_size}
        if key:
            request["KeyMarker"] = key
        if upload:  # SeaweedFS goes on after an upload, and names no key
            request["UploadIdMarker"] = upload
        with mapped("ListMultipartUploads", bucket):
            answer: dict[str, Any] = dict(self.client.list_multipart_uploads(**request))
        try:
            return parse_uploads(answer.get(_RAW, b""))
        except RwmError as error:
            raise BadResponse(f"ListMultipartUploads {bucket}: {error.message}") from error
