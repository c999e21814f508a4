"""Listings of versions and of unfinished uploads, page by page."""

from __future__ import annotations

import pytest

from rwm.errors import BadResponse
from tests.unit.rwm.s3.responses import Response, Serve, ok


def versions(*listed: tuple[str, str, bool], after: str = "") -> Response:
    head = f"<IsTruncated>{str(bool(after)).lower()}</IsTruncated>{after}"
    entries = "".join(
        f"<Version><Key>{key}</Key><VersionId>{version}</VersionId><IsLatest>{str(latest).lower()}</IsLatest>"
        "<LastModified>2026-11-20T12:00:00Z</LastModified><ETag>e</ETag><Size>1</Size></Version>"
        for key, version, latest in listed
    )
    return ok(f"<ListVersionsResult>{head}{entries}</ListVersionsResult>")


TORN = versions(("a", "v2", True), ("a", "v1", True), ("b", "v1", True))
WHOLE = versions(("a", "v3", True), ("a", "v2", False), ("a", "v1", False), ("b", "v1", True))
NOTHING = ok("<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")


@pytest.mark.parametrize("torn", [1, 10])
def test_a_page_made_during_a_write_is_requested_again(serve: Serve, torn: int) -> None:
    paths: list[str] = []
    listed = serve(*[TORN] * torn, WHOLE, paths=paths).versions("bucket1")
    assert [entry.version_id for entry in listed] == ["v3", "v2", "v1", "v1"]
    assert len(paths) == torn + 1 and len({*paths}) == 1


def test_a_directory_page_made_during_a_write_is_requested_again(serve: Serve) -> None:
    (level, *_) = (part for part in serve(TORN, WHOLE, NOTHING).level("bucket1") if part.versions)
    assert [entry.version_id for entry in level.versions] == ["v3", "v2", "v1", "v1"]


def test_a_page_that_continues_a_key_with_its_latest_version_is_requested_again(serve: Serve) -> None:
    after = "<NextKeyMarker>a</NextKeyMarker><NextVersionIdMarker>v2</NextVersionIdMarker>"
    second = [versions(("a", "v1", latest), ("b", "v1", True)) for latest in (True, False)]
    s3 = serve(versions(("a", "v2", False), after=after), *second)
    assert [len(page.versions) for page in s3.list_pages("bucket1")] == [1, 2]


def test_two_latest_versions_on_every_attempt_are_of_an_ambiguous_key(serve: Serve) -> None:
    paths: list[str] = []
    s3 = serve(TORN, paths=paths)
    assert [entry.key for entry in s3.versions("bucket1")] == ["a", "a", "b"]
    assert len(paths) == 11
    assert s3.unknown_keys.is_ambiguous("bucket1", "a") and not s3.unknown_keys.is_ambiguous("bucket1", "b")


def test_a_null_version_that_is_listed_last_is_not_requested_again(serve: Serve) -> None:
    paths: list[str] = []
    s3 = serve(versions(("a", "v1", False), ("a", "null", True)), paths=paths)
    assert len([*s3.versions("bucket1")]) == 2
    assert len(paths) == 1
    assert s3.unknown_keys.is_ambiguous("bucket1", "a")


# --- unfinished uploads ------------------------------------------------------------------------------------


def uploads(*keys: str, after: str = "") -> Response:
    head = f"<IsTruncated>{str(bool(after)).lower()}</IsTruncated>{after}"
    listed = "".join(
        f"<Upload><Key>{key}</Key><UploadId>u</UploadId><Initiated>2026-11-20T12:00:00Z</Initiated></Upload>"
        for key in keys
    )
    return ok(f"<ListMultipartUploadsResult>{head}{listed}</ListMultipartUploadsResult>")


def test_uploads_page_by_page(serve: Serve) -> None:
    paths: list[str] = []
    after = "<NextKeyMarker>&#x01;b</NextKeyMarker><NextUploadIdMarker>u</NextUploadIdMarker>"
    only = "<NextUploadIdMarker>u2</NextUploadIdMarker>"
    s3 = serve(uploads("a", "&#x01;b", after=after), uploads("c", after=only), uploads("d"), paths=paths)
    assert [key for key, _, _ in s3.unfinished_uploads("bucket1", page_size=2)] == ["a", "\x01b", "c", "d"]
    assert "marker" not in paths[0] and "encoding" not in paths[0] and "max-uploads=2" in paths[0]
    assert "key-marker=%01b" in paths[1] and "upload-id-marker=u" in paths[1]
    assert "key-marker" not in paths[2] and "upload-id-marker=u2" in paths[2]


def test_a_repeated_upload_marker_is_an_error(serve: Serve) -> None:
    s3 = serve(uploads("a", after="<NextKeyMarker>a</NextKeyMarker>"))
    with pytest.raises(BadResponse, match="repeats the marker"):
        [*s3.unfinished_uploads("bucket1")]


@pytest.mark.parametrize("body", ["", "<html/>", "<ListMultipartUploadsResult><Upload>", "<ListVersionsResult/>"])
def test_another_document_instead_of_uploads_is_an_error(serve: Serve, body: str) -> None:
    with pytest.raises(BadResponse):
        [*serve(ok(body)).unfinished_uploads("bucket1")]
