"""Listings: versions, and unfinished uploads."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from botocore.exceptions import IncompleteReadError

from rwm.errors import BadResponse, RwmError
from rwm.model import ObjectVersion
from rwm.s3.error_mapping import mapped
from rwm.s3.listing import DirectoryLister, Level, ListingCheck, Page, UploadPage, is_torn, parse_page, parse_uploads
from rwm.s3.retry import RetryMixin
from rwm.times import parse_http_date

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_RAW = "RawBody"
_ROOTS = {"ListObjectVersions": b"VersionsResult", "ListMultipartUploads": b"ListMultipartUploadsResult"}
_EMPTY = b"<Empty/>"
_MOMENT = (0.01, 0.05)  # seconds
_TORN = 10  # times that a page which is not of one moment is asked for again; then what is wrong with it is an error


@contextmanager
def _named(bucket: str) -> Iterator[None]:
    """What is wrong with a listing is said of its bucket."""
    try:
        yield
    except BadResponse as error:
        if error.message.startswith("List"):
            raise
        raise BadResponse(f"ListObjectVersions {bucket}: {error.message}", hint=error.hint) from error


def _loses_keys(server: str, page: Page) -> bool:
    """Whether the listing may lose keys at page breaks: SeaweedFS, or what may be one behind a proxy.

    Ceph RGW, AWS and MinIO confirm the encoding that was asked for. Nobody else is trusted.
    """
    return "SeaweedFS" in server or not (page.encoded or "amazon" in server.lower())


def keep_raw_listings(client: S3Client) -> None:
    """Hand out the raw body of listings, and let botocore parse an empty page in its place.

    The wildcard puts this before botocore's own look at ``before-parse.s3.*``, which would take a key that XML cannot
    carry for a server error.
    """

    def keep(
        operation_model: Any, response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any
    ) -> None:
        body, length = response_dict["body"], response_dict["headers"].get("content-length", "")
        if length.isdecimal() and len(body) < int(length):  # urllib3 does not always notice
            raise IncompleteReadError(actual_bytes=len(body), expected_bytes=int(length))
        # Anything else is an error with status 200, which botocore tries again.
        if response_dict["status_code"] < 300 and _ROOTS[operation_model.name] in body[:500]:
            customized_response_dict[_RAW] = body
            response_dict["body"] = _EMPTY

    for operation in _ROOTS:
        client.meta.events.register(f"before-parse.*.{operation}", keep)


class Versions(RetryMixin):
    """What an account can do with versions as such. A part of :class:`rwm.s3.S3`."""

    client: S3Client

    def list_pages(
        self, bucket: str, prefix: str = "", *, delimiter: str = "", page_size: int = 1000
    ) -> Iterator[Page]:
        """The pages of one listing as the server gives them: one that is not whole raises, it never ends early.

        Raises BadResponse for malformed, repeated or backward pages, and the errors of :func:`mapped`. For all keys of
        a server that loses some at page breaks ask :meth:`versions`.
        """
        return self._pages(bucket, prefix, delimiter, page_size, self._answer(bucket, prefix, delimiter, page_size)[0])

    def _pages(self, bucket: str, prefix: str, delimiter: str, page_size: int, page: Page) -> Iterator[Page]:
        """A listing whose first page is there already."""
        check = ListingCheck(prefix)
        seen: set[tuple[str, str]] = set()
        while True:
            with _named(bucket):
                check.entries(page.versions)
            yield page
            if page.next_key is None:
                return
            here = (page.next_key, page.next_version or "")
            if here in seen:
                raise BadResponse(f"ListObjectVersions {bucket}: the server repeats the marker {here!r}")
            seen.add(here)
            page = self._answer(bucket, prefix, delimiter, page_size, *here)[0]

    def _answer(
        self, bucket: str, prefix: str, delimiter: str, size: int, key: str = "", version: str = ""
    ) -> tuple[Page, bool]:
        """One page, and whether the server may lose keys after it.

        A page on which the latest version of a key stands behind another is asked for again: SeaweedFS makes such a
        page while the key is written (one in ten, of a key that is written all the time).
        """
        optional = {"Prefix": prefix, "Delimiter": delimiter, "KeyMarker": key, "VersionIdMarker": version}
        given = {name: value for name, value in optional.items() if value}
        request: dict[str, Any] = {"Bucket": bucket, "MaxKeys": size, "EncodingType": "url", **given}

        def ask() -> dict[str, Any]:
            with mapped("ListObjectVersions", bucket):
                return dict(self.client.list_object_versions(**request))

        def read() -> tuple[Page, bool]:
            answer = self.again(ask, f"ListObjectVersions {bucket}")
            with _named(bucket):
                page = parse_page(answer.get(_RAW, b""))
            return page, _loses_keys(answer["ResponseMetadata"]["HTTPHeaders"].get("server", ""), page)

        for _ in range(_TORN):
            page, loses = read()
            if not is_torn(page.versions, key if version else ""):
                return page, loses
            self.sleep(random.uniform(*_MOMENT))  # noqa: S311 - so that not all ask at once
        return read()

    def versions(self, bucket: str, prefix: str = "", *, page_size: int = 1000) -> Iterator[ObjectVersion]:
        """Every entry below ``prefix``, per key newest first; those of a key next to each other."""
        first, loses = self._answer(bucket, prefix, "", page_size)
        if not loses:
            for page in self._pages(bucket, prefix, "", page_size, first):
                yield from page.versions
            return
        with _named(bucket):
            for versions in self._walk(bucket, page_size).everything(prefix, first):
                yield from versions

    def level(self, bucket: str, prefix: str = "", *, page_size: int = 1000) -> Iterator[Level]:
        """One directory as it is listed: entries of the keys in it, and the prefixes (``data/`` …) of all others."""
        first, loses = self._answer(bucket, prefix, "/", page_size)
        if not loses:
            for page in self._pages(bucket, prefix, "/", page_size, first):
                yield Level(page.versions, page.prefixes)
            return
        with _named(bucket):
            yield from self._walk(bucket, page_size).level(prefix, first)

    def _walk(self, bucket: str, page_size: int) -> DirectoryLister:
        def fetch(prefix: str, delimiter: str, size: int, key: str, version: str) -> Page:
            return self._answer(bucket, prefix, delimiter, size, key, version)[0]

        def present(prefix: str, after: str) -> list[str]:
            def ask() -> list[str]:
                with mapped("ListObjectsV2", bucket):
                    answer = self.client.list_objects_v2(Bucket=bucket, Prefix=prefix, Delimiter="/", StartAfter=after)
                keys = [item["Key"] for item in answer.get("Contents", [])]
                return keys + [item["Prefix"] for item in answer.get("CommonPrefixes", [])]

            return self.again(ask, f"ListObjectsV2 {bucket}")

        return DirectoryLister(fetch, present, page_size)

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
