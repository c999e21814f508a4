"""Deletions count only when the response names them; other invalid responses are errors."""

from __future__ import annotations

import hashlib

import pytest

from rwm.errors import BadResponse, S3Error
from rwm.s3 import S3
from tests.unit.rwm.s3.responses import Response, Serve, ok

REQUESTED = [("dead", "v1"), ("a b%+&ж", "v2")]
FIRST = "<Deleted><Key>dead</Key><VersionId>v1</VersionId></Deleted>"
SECOND = "<Deleted><Key>a b%+&amp;ж</Key><VersionId>v2</VersionId></Deleted>"


def failures(s3: S3) -> dict[str, str]:
    return {failure.version_id: failure.code for failure in s3.delete_versions("bucket1", REQUESTED)}


def error(key: str, version: str, code: str) -> str:
    return f"<Error><Key>{key}</Key><VersionId>{version}</VersionId><Code>{code}</Code></Error>"


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        (FIRST + SECOND, {}),
        (FIRST, {"v2": "NotConfirmed"}),
        ("", {"v1": "NotConfirmed", "v2": "NotConfirmed"}),
        (SECOND + error("dead", "v1", "AccessDenied"), {"v1": "AccessDenied"}),
        (SECOND + error("dead", "v1", "NoSuchVersion"), {}),
        (SECOND + error("dead", "v1", "NoSuchKey"), {}),
        (SECOND + error("dead", "other", "NoSuchVersion"), {"v1": "NotConfirmed"}),
        (FIRST + SECOND + error("dead", "v1", "InternalError"), {"v1": "InternalError"}),
        (SECOND + "<Error><Code>AccessDenied</Code></Error>", {"v1": "NotConfirmed"}),
        (SECOND + error("de%61d", "v1", "AccessDenied"), {"v1": "NotConfirmed"}),
        (SECOND + "<Deleted><Key>dead</Key></Deleted>", {"v1": "NotConfirmed"}),
        (SECOND + "<Deleted><Key>dead</Key><VersionId>other</VersionId></Deleted>", {"v1": "NotConfirmed"}),
        (  # SeaweedFS reports a deleted marker like this
            SECOND + "<Deleted><Key>dead</Key><DeleteMarker>true</DeleteMarker>"
            "<DeleteMarkerVersionId>v1</DeleteMarkerVersionId></Deleted>",
            {},
        ),
        (  # and a server that ignores version ids reports the marker that it added
            SECOND + "<Deleted><Key>dead</Key><DeleteMarker>true</DeleteMarker>"
            "<DeleteMarkerVersionId>new</DeleteMarkerVersionId></Deleted>",
            {"v1": "NotConfirmed"},
        ),
    ],
)
def test_only_versions_named_as_deleted_are_deleted(serve: Serve, inner: str, expected: dict[str, str]) -> None:
    assert failures(serve(ok(f"<DeleteResult>{inner}</DeleteResult>"))) == expected


def test_a_key_without_version_id_confirms_nothing(serve: Serve) -> None:
    """SeaweedFS responds so in a bucket without versioning. Another server may have added a marker."""
    s3 = serve(ok("<DeleteResult><Deleted><Key>dead</Key></Deleted></DeleteResult>"))
    assert s3.delete_versions("bucket1", [("dead", "null")]) == [("dead", "null", "NotConfirmed")]


@pytest.mark.parametrize("body", ["", "<html><body>login</body></html>", "<ListBucketResult/>"])
def test_another_document_confirms_nothing(serve: Serve, body: str) -> None:
    assert failures(serve(ok(body))) == {"v1": "NotConfirmed", "v2": "NotConfirmed"}


@pytest.mark.parametrize("body", ["no XML", f"<DeleteResult>{FIRST}{SECOND}"])
def test_malformed_xml_is_an_error(serve: Serve, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)  # the SDK retries
    with pytest.raises(S3Error):
        failures(serve(ok(body)))


def test_a_key_that_xml_cannot_represent_is_deleted_by_its_own_request(serve: Serve) -> None:
    pairs = [("a\x01", "v1")]
    assert not serve((204, {"x-amz-version-id": "v1"}, b"")).delete_versions("bucket1", pairs)
    assert not serve((204, {}, b"")).delete_versions("bucket1", pairs)  # Ceph RGW, for a deleted version
    other = serve((204, {"x-amz-version-id": "new", "x-amz-delete-marker": "true"}, b""))
    assert other.delete_versions("bucket1", pairs) == [("a\x01", "v1", "NotConfirmed")]


def test_an_endless_redirect_is_a_bad_response(serve: Serve) -> None:
    s3 = serve((307, {"Location": "http://127.0.0.1:9/"}, b""))
    with pytest.raises(BadResponse, match="redirects without end"):
        s3.get("bucket1", "key")


BODY = b"content"
MD5 = hashlib.md5(BODY).hexdigest()
OTHER = "0" * 32
KMS = {"x-amz-server-side-encryption": "aws:kms"}


def get(version: str, etag: str, **more: str) -> tuple[int, dict[str, str], bytes]:
    return 200, {"x-amz-version-id": version, "ETag": f'"{etag}"', **more}, BODY


class TestContentAndEtag:
    @pytest.mark.parametrize(
        "response", [get("v1", MD5), get("v1", f"{OTHER}-2"), get("v1", OTHER, **KMS), get("v1", ""), get("null", MD5)]
    )
    def test_equal_or_not_comparable(self, serve: Serve, response: Response) -> None:
        assert b"".join(serve(response).stream("bucket1", "k", response[1]["x-amz-version-id"], MD5)) == BODY

    def test_content_with_another_md5_sum(self, serve: Serve) -> None:
        with pytest.raises(BadResponse, match=f"the MD5 sum {MD5}, its ETag is {OTHER}"):
            list(serve(get("v1", OTHER)).stream("bucket1", "k", "v1", OTHER))

    def test_a_null_version_that_was_overwritten(self, serve: Serve) -> None:
        with pytest.raises(BadResponse, match="it was overwritten"):
            list(serve(get("null", MD5)).stream("bucket1", "k", "null", OTHER))

    def test_nothing_is_compared_without_a_recorded_etag(self, serve: Serve) -> None:
        assert b"".join(serve(get("v1", OTHER)).stream("bucket1", "k", "v1")) == BODY

    @pytest.mark.parametrize(
        ("response", "is_md5"), [(get("v1", MD5), True), (get("v1", f"{MD5}-1"), False), (get("v1", MD5, **KMS), False)]
    )
    def test_which_etags_are_md5_sums(self, serve: Serve, response: Response, is_md5: bool) -> None:
        assert serve(response).has_md5_etag("bucket1", "k", "v1") is is_md5


def test_a_copy_of_known_size_is_one_request(serve: Serve) -> None:
    paths: list[str] = []
    s3 = serve(ok("<CopyObjectResult><ETag>e</ETag></CopyObjectResult>"), paths=paths)
    s3.copy("bucket1", "k", "v1", "bucket2", size=5 << 30)
    assert paths == ["/bucket2/k"]
