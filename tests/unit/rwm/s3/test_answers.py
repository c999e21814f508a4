"""What the S3 adapter makes of a server's answers: silence is no success, and no answer is waited for for ever."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from rwm.errors import BadResponse, S3Error
from rwm.s3 import S3, connect

Answer = tuple[int, dict[str, str], bytes]
Serve = Callable[..., S3]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A client of a server that gives these answers in turn, the last one for ever; ``paths`` is what was asked."""
    servers: list[ThreadingHTTPServer] = []

    def start(*answers: Answer, paths: list[str] | None = None) -> S3:
        left = [*answers]

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if paths is not None:
                    paths.append(self.path)
                status, headers, body = left.pop(0) if len(left) > 1 else left[0]
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if status != 204:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer

            def log_message(self, format: str, *args: object) -> None:
                """Nobody reads it."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return connect(f"http://127.0.0.1:{server.server_port}", "key", "secret")

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def ok(body: str) -> Answer:
    return 200, {}, body.encode()


# --- deletion ----------------------------------------------------------------------------------------------

ASKED = [("dead", "v1"), ("a b%+&ж", "v2")]
FIRST = "<Deleted><Key>dead</Key><VersionId>v1</VersionId></Deleted>"
SECOND = "<Deleted><Key>a b%+&amp;ж</Key><VersionId>v2</VersionId></Deleted>"


def failures(s3: S3) -> dict[str, str]:
    return {fail.version_id: fail.code for fail in s3.delete_versions("bucket1", ASKED)}


def error(key: str, version: str, code: str) -> str:
    return f"<Error><Key>{key}</Key><VersionId>{version}</VersionId><Code>{code}</Code></Error>"


@pytest.mark.parametrize(
    ("inner", "stayed"),
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
        (  # SeaweedFS names a marker that it deleted like this
            SECOND + "<Deleted><Key>dead</Key><DeleteMarker>true</DeleteMarker>"
            "<DeleteMarkerVersionId>v1</DeleteMarkerVersionId></Deleted>",
            {},
        ),
        (  # and a server that ignores version ids makes one instead
            SECOND + "<Deleted><Key>dead</Key><DeleteMarker>true</DeleteMarker>"
            "<DeleteMarkerVersionId>new</DeleteMarkerVersionId></Deleted>",
            {"v1": "NotConfirmed"},
        ),
    ],
)
def test_only_what_the_server_names_as_deleted_is(serve: Serve, inner: str, stayed: dict[str, str]) -> None:
    assert failures(serve(ok(f"<DeleteResult>{inner}</DeleteResult>"))) == stayed


def test_a_key_alone_confirms_no_version_of_it(serve: Serve) -> None:
    """SeaweedFS says so of a bucket without versioning. Elsewhere it may have made a marker."""
    s3 = serve(ok("<DeleteResult><Deleted><Key>dead</Key></Deleted></DeleteResult>"))
    assert s3.delete_versions("bucket1", [("dead", "null")]) == [("dead", "null", "NotConfirmed")]


@pytest.mark.parametrize("body", ["", "<html><body>login</body></html>", "<ListBucketResult/>"])
def test_an_answer_that_is_no_delete_result_confirms_nothing(serve: Serve, body: str) -> None:
    assert failures(serve(ok(body))) == {"v1": "NotConfirmed", "v2": "NotConfirmed"}


@pytest.mark.parametrize("body", ["no XML", f"<DeleteResult>{FIRST}{SECOND}"])
def test_an_answer_that_is_no_xml_is_an_error(serve: Serve, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)  # it is asked for again
    with pytest.raises(S3Error):
        failures(serve(ok(body)))


def test_a_key_that_xml_cannot_carry_is_asked_for_alone_and_may_not_become_a_marker(serve: Serve) -> None:
    odd = [("a\x01", "v1")]
    assert not serve((204, {"x-amz-version-id": "v1"}, b"")).delete_versions("bucket1", odd)
    assert not serve((204, {}, b"")).delete_versions("bucket1", odd)  # Ceph RGW, of what is gone already
    other = serve((204, {"x-amz-version-id": "new", "x-amz-delete-marker": "true"}, b""))
    assert other.delete_versions("bucket1", odd) == [("a\x01", "v1", "NotConfirmed")]


# --- versions ----------------------------------------------------------------------------------------------


def versions(*listed: tuple[str, str, bool], after: str = "") -> Answer:
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
def test_a_page_that_was_made_while_a_key_was_written_is_asked_for_again(serve: Serve, torn: int) -> None:
    paths: list[str] = []
    listed = serve(*[TORN] * torn, WHOLE, paths=paths).versions("bucket1")
    assert [entry.version_id for entry in listed] == ["v3", "v2", "v1", "v1"]
    assert len(paths) == torn + 1 and len({*paths}) == 1


def test_the_same_of_a_directory(serve: Serve) -> None:
    (level, *_) = (part for part in serve(TORN, WHOLE, NOTHING).level("bucket1") if part.versions)
    assert [entry.version_id for entry in level.versions] == ["v3", "v2", "v1", "v1"]


def test_a_page_that_goes_on_within_a_key_and_begins_with_its_latest_version(serve: Serve) -> None:
    after = "<NextKeyMarker>a</NextKeyMarker><NextVersionIdMarker>v2</NextVersionIdMarker>"
    second = [versions(("a", "v1", latest), ("b", "v1", True)) for latest in (True, False)]
    s3 = serve(versions(("a", "v2", False), after=after), *second)
    assert [len(page.versions) for page in s3.list_pages("bucket1")] == [1, 2]


def test_a_server_that_always_has_two_latest_versions_of_a_key_is_not_believed(serve: Serve) -> None:
    paths: list[str] = []
    with pytest.raises(BadResponse, match="second latest version of 'a'"):
        [*serve(TORN, paths=paths).versions("bucket1")]
    assert len(paths) == 11


# --- unfinished uploads ------------------------------------------------------------------------------------


def uploads(*keys: str, after: str = "") -> Answer:
    head = f"<IsTruncated>{str(bool(after)).lower()}</IsTruncated>{after}"
    listed = "".join(
        f"<Upload><Key>{key}</Key><UploadId>u</UploadId><Initiated>2026-11-20T12:00:00Z</Initiated></Upload>"
        for key in keys
    )
    return ok(f"<ListMultipartUploadsResult>{head}{listed}</ListMultipartUploadsResult>")


def test_uploads_page_for_page(serve: Serve) -> None:
    paths: list[str] = []
    after = "<NextKeyMarker>&#x01;b</NextKeyMarker><NextUploadIdMarker>u</NextUploadIdMarker>"
    only = "<NextUploadIdMarker>u2</NextUploadIdMarker>"
    s3 = serve(uploads("a", "&#x01;b", after=after), uploads("c", after=only), uploads("d"), paths=paths)
    assert [key for key, _, _ in s3.unfinished_uploads("bucket1", page_size=2)] == ["a", "\x01b", "c", "d"]
    assert "marker" not in paths[0] and "encoding" not in paths[0] and "max-uploads=2" in paths[0]
    assert "key-marker=%01b" in paths[1] and "upload-id-marker=u" in paths[1]
    assert "key-marker" not in paths[2] and "upload-id-marker=u2" in paths[2]


def test_a_listing_of_uploads_that_goes_round_is_an_error(serve: Serve) -> None:
    s3 = serve(uploads("a", after="<NextKeyMarker>a</NextKeyMarker>"))
    with pytest.raises(BadResponse, match="repeats the marker"):
        [*s3.unfinished_uploads("bucket1")]


@pytest.mark.parametrize("body", ["", "<html/>", "<ListMultipartUploadsResult><Upload>", "<ListVersionsResult/>"])
def test_an_answer_that_is_no_listing_of_uploads(serve: Serve, body: str) -> None:
    with pytest.raises(BadResponse):
        [*serve(ok(body)).unfinished_uploads("bucket1")]


# --- redirects ---------------------------------------------------------------------------------------------


def test_redirects_without_end(serve: Serve) -> None:
    s3 = serve((307, {"Location": "http://127.0.0.1:9/"}, b""))
    with pytest.raises(BadResponse, match="redirects without end"):
        s3.get("bucket1", "key")


OWNED: Answer = (409, {}, b"<Error><Code>BucketAlreadyOwnedByYou</Code></Error>")


def test_a_bucket_that_an_attempt_without_an_answer_has_made_is_made(serve: Serve) -> None:
    serve((503, {}, b""), OWNED).create_bucket("bucket1")


def test_a_bucket_that_was_there_before_is_not_made(serve: Serve) -> None:
    with pytest.raises(S3Error, match="BucketAlreadyOwnedByYou"):
        serve(OWNED).create_bucket("bucket1")
