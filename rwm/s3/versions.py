"""Listings of versions and of unfinished uploads."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from botocore.exceptions import IncompleteReadError

from rwm.errors import BadResponse, RwmError
from rwm.model import ObjectVersion
from rwm.s3.error_mapping import mapped
from rwm.s3.listing import (
    DirectoryLister,
    Level,
    ListingCheck,
    Page,
    UnknownKeys,
    UploadPage,
    is_garbled,
    is_torn,
    parse_page,
    parse_uploads,
)
from rwm.s3.retry import RetryMixin
from rwm.times import iso, parse_http_date

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_RAW = "RawBody"
_ROOTS = {"ListObjectVersions": b"VersionsResult", "ListMultipartUploads": b"ListMultipartUploadsResult"}
_EMPTY = b"<Empty/>"
_NEWEST = 10
"""Entries on a page of one key's newest: SeaweedFS lists some longer keys before it."""

_TICK_LIMIT = 30  # seconds to wait for the server's clock to move
SETTLE = 0.2
"""Seconds after which Ceph RGW surely lists what was written."""

_TORN_PAGE_RETRIES = 10  # for a page that the server made while a key was written
_TORN_PAGE_PAUSE = (0.01, 0.05)  # seconds, at random between these


@contextmanager
def _errors_naming(bucket: str) -> Iterator[None]:
    """Add the bucket to errors of a listing."""
    try:
        yield
    except BadResponse as error:
        if error.message.startswith("List"):
            raise
        raise BadResponse(f"ListObjectVersions {bucket}: {error.message}", hint=error.hint) from error


def _loses_keys(server: str, page: Page) -> bool:
    """Whether the listing may lose keys at page breaks: SeaweedFS does, possibly behind a proxy.

    Ceph RGW, AWS and MinIO are known to be safe; they confirm the requested encoding.
    """
    return "SeaweedFS" in server or not (page.encoded or "amazon" in server.lower())


def keep_raw_listings(client: S3Client) -> None:
    """Keep the raw body of listings, and give botocore an empty page to parse.

    The wildcard runs this before botocore's own handler of ``before-parse.s3.*``, which takes a key that XML cannot
    represent for a server error.
    """

    def keep(
        operation_model: Any, response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any
    ) -> None:
        body, length = response_dict["body"], response_dict["headers"].get("content-length", "")
        if length.isdecimal() and len(body) < int(length):  # urllib3 does not always detect it
            raise IncompleteReadError(actual_bytes=len(body), expected_bytes=int(length))
        # Any other body is an error with status 200, which botocore retries.
        if response_dict["status_code"] < 300 and _ROOTS[operation_model.name] in body[:500]:
            customized_response_dict[_RAW] = body
            response_dict["body"] = _EMPTY

    for operation in _ROOTS:
        client.meta.events.register(f"before-parse.*.{operation}", keep)


class Versions(RetryMixin):
    """Operations on versions. A part of :class:`rwm.s3.S3`."""

    client: S3Client
    unknown_keys: UnknownKeys
    """Keys that the listings so far could not tell."""

    def list_pages(
        self, bucket: str, prefix: str = "", *, delimiter: str = "", page_size: int = 1000
    ) -> Iterator[Page]:
        """The pages of one listing as the server returns them. An incomplete listing raises, it never ends early.

        Raises BadResponse for malformed, repeated or backward pages, and the errors of :func:`mapped`. Some servers
        lose keys at page breaks: :meth:`versions` lists all keys of those too.
        """
        first, _ = self._fetch_page(bucket, prefix, delimiter, page_size)
        return self._pages(bucket, prefix, delimiter, page_size, first)

    def _pages(self, bucket: str, prefix: str, delimiter: str, page_size: int, page: Page) -> Iterator[Page]:
        """The pages of a listing whose first page is given."""
        check = ListingCheck(prefix, partial(self._note_ambiguous, bucket))
        seen: set[tuple[str, str]] = set()
        while True:
            with _errors_naming(bucket):
                check.check(page.versions)
            yield page
            if page.next_key is None:
                return
            if not page.encoded and is_garbled(page.next_key):
                raise BadResponse(
                    f"ListObjectVersions {bucket}: the listing cannot continue after {page.next_key!r}: "
                    "the server does not send the key's exact name"
                )
            marker = (page.next_key, page.next_version or "")
            if marker in seen:
                raise BadResponse(f"ListObjectVersions {bucket}: the server repeats the marker {marker!r}")
            seen.add(marker)
            page = self._fetch_page(bucket, prefix, delimiter, page_size, *marker)[0]

    def _fetch_page(
        self, bucket: str, prefix: str, delimiter: str, size: int, key: str = "", version: str = ""
    ) -> tuple[Page, bool]:
        """One page, and whether the server may lose keys after it.

        A page with the latest version of a key after another one is requested again: SeaweedFS makes such pages while
        the key is written (one in ten, for a key that is written continuously).
        """
        optional = {"Prefix": prefix, "Delimiter": delimiter, "KeyMarker": key, "VersionIdMarker": version}
        given = {name: value for name, value in optional.items() if value}
        request: dict[str, Any] = {"Bucket": bucket, "MaxKeys": size, "EncodingType": "url", **given}

        def request_page() -> dict[str, Any]:
            with mapped("ListObjectVersions", bucket):
                return dict(self.client.list_object_versions(**request))

        def read_page() -> tuple[Page, bool]:
            response = self.retry(request_page, f"ListObjectVersions {bucket}")
            with _errors_naming(bucket):
                page = parse_page(response.get(_RAW, b""))
            return page, _loses_keys(response["ResponseMetadata"]["HTTPHeaders"].get("server", ""), page)

        for _ in range(_TORN_PAGE_RETRIES):
            page, loses = read_page()
            if not is_torn(page.versions, key if version else ""):
                break
            self.sleep(random.uniform(*_TORN_PAGE_PAUSE))  # noqa: S311 - jitter
        else:
            page, loses = read_page()
        self._note_garbled(bucket, page)
        return page, loses

    def _note_garbled(self, bucket: str, page: Page) -> None:
        for entry in page.garbled:
            self.unknown_keys.add(bucket, entry, "garbled")
        for name in page.garbled_prefixes:
            self.unknown_keys.add_directory(bucket, name)

    def _note_ambiguous(self, bucket: str, entry: ObjectVersion) -> None:
        self.unknown_keys.add(bucket, entry, "ambiguous")

    def versions(self, bucket: str, prefix: str = "", *, page_size: int = 1000) -> Iterator[ObjectVersion]:
        """Every entry below ``prefix``, per key newest first; the entries of one key are consecutive."""
        return chain.from_iterable(self.version_batches(bucket, prefix, page_size=page_size))

    def newest(self, bucket: str, key: str) -> ObjectVersion | None:
        """The newest entry of a key, a version or a delete marker; None without any. One request on most servers."""
        return next((entry for entry in self.versions(bucket, key, page_size=_NEWEST) if entry.key == key), None)

    def version_batches(
        self, bucket: str, prefix: str = "", *, page_size: int = 1000
    ) -> Iterator[Sequence[ObjectVersion]]:
        """The same entries page by page; a page may be empty."""
        first, loses = self._fetch_page(bucket, prefix, "", page_size)
        if not loses:
            for page in self._pages(bucket, prefix, "", page_size, first):
                yield page.versions
            return
        with _errors_naming(bucket):
            yield from self._directory_lister(bucket, page_size).list_all(prefix, first)

    def level(self, bucket: str, prefix: str = "", *, page_size: int = 1000) -> Iterator[Level]:
        """One directory, page by page: entries of the keys in it, and the prefixes (``data/`` …) of all others."""
        first, loses = self._fetch_page(bucket, prefix, "/", page_size)
        if not loses:
            for page in self._pages(bucket, prefix, "/", page_size, first):
                yield Level(page.versions, page.prefixes)
            return
        with _errors_naming(bucket):
            yield from self._directory_lister(bucket, page_size).level(prefix, first)

    def _directory_lister(self, bucket: str, page_size: int) -> DirectoryLister:
        def fetch_page(prefix: str, delimiter: str, size: int, key: str, version: str) -> Page:
            return self._fetch_page(bucket, prefix, delimiter, size, key, version)[0]

        def list_current(prefix: str, after: str) -> list[str]:
            def request_page() -> list[str]:
                with mapped("ListObjectsV2", bucket):
                    response = self.client.list_objects_v2(
                        Bucket=bucket, Prefix=prefix, Delimiter="/", StartAfter=after
                    )
                keys = [item["Key"] for item in response.get("Contents", [])]
                return keys + [item["Prefix"] for item in response.get("CommonPrefixes", [])]

            return self.retry(request_page, f"ListObjectsV2 {bucket}")

        return DirectoryLister(fetch_page, list_current, page_size, partial(self._note_ambiguous, bucket))

    def server_time(self, bucket: str) -> int:
        """The server's clock from the Date header: a whole second, in milliseconds. Raises BadResponse without one.

        Accounts that reach only a prefix may send this request; HeadBucket needs a listing of the whole bucket.
        """
        with mapped("GetBucketVersioning", bucket):
            response = self.client.get_bucket_versioning(Bucket=bucket)
        header = response["ResponseMetadata"]["HTTPHeaders"].get("date", "")
        try:
            return parse_http_date(header)
        except (ValueError, TypeError) as error:
            raise BadResponse(
                f"GetBucketVersioning {bucket}: the answer has no usable Date header ({header!r})"
            ) from error

    def wait_for_tick(self, bucket: str, second: int) -> None:
        """Wait until a second is over by the server's clock: from then on listings show all that was written in it.

        Some servers have times of whole seconds only. Raises BadResponse if the clock stands still.
        """
        deadline, waited = time.monotonic() + _TICK_LIMIT, False
        while self.server_time(bucket) <= second:
            if time.monotonic() > deadline:
                raise BadResponse(f"the clock of the server stands still at {iso(second)}")
            time.sleep(0.05)
            waited = True
        if waited:  # Ceph RGW may list an entry some milliseconds after its time
            time.sleep(SETTLE)

    def unfinished_uploads(self, bucket: str, *, page_size: int = 1000, by: str = "") -> Iterator[tuple[str, str, int]]:
        """(key, upload id, start in milliseconds) of multipart uploads that were neither completed nor aborted.

        With ``by``, without those that another account than this id began, where the server tells.
        """
        seen: set[tuple[str, str]] = set()
        marker = ("", "")
        while True:
            page = self._fetch_uploads(bucket, page_size, *marker)
            for upload, initiator in zip(page.uploads, page.initiators, strict=True):
                if not (by and initiator) or by == initiator:
                    yield upload
            marker = (page.next_key, page.next_upload)
            if not any(marker):
                return
            if marker in seen:
                raise BadResponse(f"ListMultipartUploads {bucket}: the server repeats the marker {marker!r}")
            seen.add(marker)

    def _fetch_uploads(self, bucket: str, page_size: int, key: str, upload: str) -> UploadPage:
        request: dict[str, Any] = {"Bucket": bucket, "MaxUploads": page_size}
        if key:
            request["KeyMarker"] = key
        if upload:  # SeaweedFS continues after an upload id, without a key
            request["UploadIdMarker"] = upload
        with mapped("ListMultipartUploads", bucket):
            response: dict[str, Any] = dict(self.client.list_multipart_uploads(**request))
        try:
            return parse_uploads(response.get(_RAW, b""))
        except RwmError as error:
            raise BadResponse(f"ListMultipartUploads {bucket}: {error.message}") from error
