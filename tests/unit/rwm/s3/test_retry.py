"""A listing is continued after network failures at the same page; bad pages end it at once."""

from __future__ import annotations

import logging
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest

from rwm.cli.main import cli
from rwm.config import Credentials, S3Settings
from rwm.console.error_boundary import run_command
from rwm.errors import AccessDenied, BadResponse, NotFound, Unreachable
from rwm.index import Index
from rwm.s3 import S3, connect

PAGES = 4


def entry(key: str) -> str:
    return (
        f"<Version><Key>{key}</Key><VersionId>v</VersionId><IsLatest>true</IsLatest><LastModified>"
        "2026-11-20T12:00:00.000Z</LastModified><ETag>&quot;e&quot;</ETag><Size>1</Size></Version>"
    )


def body(entries: str, after: str = "") -> bytes:
    more = f"<IsTruncated>true</IsTruncated><NextKeyMarker>{after}</NextKeyMarker>"
    head = more if after else "<IsTruncated>false</IsTruncated>"
    return f"<ListVersionsResult><EncodingType>url</EncodingType>{head}{entries}</ListVersionsResult>".encode()


class PageServer:
    """A server of a few pages of two keys each, on a plain socket. ``faults`` apply to the next requests in turn.

    ``requested`` collects the key markers of all requests.
    """

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.replaced: dict[str, tuple[int, bytes]] = {}
        self.requested: list[str] = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            with client:
                self._respond(client)

    def _respond(self, client: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            piece = client.recv(65536)
            if not piece:
                return
            request += piece
        method, target, _ = request.split(b"\r\n", 1)[0].decode().split(" ")
        query = parse_qs(urlsplit(target).query, keep_blank_values=True)
        if "versions" not in query:
            self._send(
                client, 200, b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>", method
            )
            return
        marker = query.get("key-marker", [""])[0]
        self.requested.append(marker)
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "reset":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return
        if fault == "closed":
            return
        status, content = self.replaced.get(marker, (200, self._page(marker)))
        if fault == "cut off":
            self._send(client, 200, content[: len(content) // 2], method, len(content))
        else:
            self._send(client, int(fault or status), b"" if fault else content, method)

    @staticmethod
    def _page(marker: str) -> bytes:
        number = int(marker[1]) + 1 if marker else 0
        entries = "".join(entry(f"k{number}{end}") for end in "ab")
        return body(entries, f"k{number}b" if number + 1 < PAGES else "")

    @staticmethod
    def _send(client: socket.socket, status: int, content: bytes, method: str, length: int = -1) -> None:
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(content) if length < 0 else length}\r\n"
        head += "Date: Fri, 20 Nov 2026 12:00:05 GMT\r\nConnection: close\r\n\r\n"
        client.sendall(head.encode() + (b"" if method == "HEAD" else content))


@pytest.fixture
def server() -> Iterator[PageServer]:
    server = PageServer()
    yield server
    server.socket.close()


@pytest.fixture
def s3(server: PageServer) -> S3:
    """A client whose pauses take no time, without retries of botocore, so that requests can be counted."""
    s3 = connect(S3Settings(f"http://127.0.0.1:{server.port}", Credentials("key", "secret")), attempts=1)
    s3.sleep = lambda seconds: None
    return s3


ALL = [f"k{number}{end}" for number in range(PAGES) for end in "ab"]


@pytest.mark.parametrize("fault", ["reset", "closed", "cut off", "500", "503", "429"])
def test_only_the_failed_page_is_requested_again(
    server: PageServer, s3: S3, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    listing = s3.versions("bucket1")
    found = [next(listing).key for _ in range(4)]
    server.faults = [fault] * 5
    with caplog.at_level(logging.WARNING, "rwm.s3"):
        found += [version.key for version in listing]
    assert found == ALL
    assert server.requested == ["", "k0b", *["k1b"] * 6, "k2b"]
    assert [record.getMessage() for record in caplog.records] == [
        "ListObjectVersions bucket1: no usable answer, retrying for 300 seconds"
    ]


def test_pauses_grow_while_connections_are_refused(server: PageServer, s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    jitter: set[tuple[float, float]] = set()

    def uniform(least: float, most: float) -> float:
        jitter.add((least, most))
        return most

    monkeypatch.setattr("rwm.s3.retry.random.uniform", uniform)
    listing = s3.versions("bucket1")
    found = [next(listing).key for _ in range(2)]
    server.socket.shutdown(socket.SHUT_RDWR)
    server.socket.close()
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 7:
            server.socket = socket.create_server(("127.0.0.1", server.port))
            Thread(target=server._serve, daemon=True).start()

    s3.sleep = sleep
    assert found + [version.key for version in listing] == ALL
    assert server.requested == ["", "k0b", "k1b", "k2b"]
    assert pauses == [1, 2, 4, 8, 16, 30, 30], "doubled up to the longest"
    assert jitter == {(0.5, 1.0)}, "shortened by up to half"


def test_retries_end_after_retry_seconds(server: PageServer, s3: S3) -> None:
    s3.retry_seconds = 0.0
    listing = s3.versions("bucket1")
    next(listing)
    server.faults = ["reset"] * 9
    with pytest.raises(Unreachable):
        list(listing)
    assert server.requested == ["", "k0b"]


def test_no_retries_before_the_first_answer(server: PageServer, s3: S3) -> None:
    server.faults = ["reset"] * 9
    with pytest.raises(Unreachable):
        [*s3.versions("bucket1")]
    assert server.requested == [""]


@pytest.mark.parametrize(
    ("status", "error"), [(403, AccessDenied), (404, NotFound), (200, BadResponse)], ids=lambda value: str(value)
)
def test_other_errors_are_not_retried(server: PageServer, s3: S3, status: int, error: type[Exception]) -> None:
    server.replaced = {"k0b": (status, b"<ListVersionsResult></ListVersionsResult>" if status == 200 else b"")}
    with pytest.raises(error):
        [*s3.versions("bucket1")]
    assert server.requested == ["", "k0b"]


# --- through the command -------------------------------------------------------------------------------------

GOOD = entry("k1a") + entry("k1b")


@pytest.mark.parametrize(
    ("_name", "page"),
    {
        "the previous page": (body(entry("k0a") + entry("k0b"), "k0b"), "goes backwards: 'k0a' after 'k0b'"),
        "a repeated entry": (body(entry("k0b"), "k0b"), "repeats version v of 'k0b'"),
        "a repeated marker": (body("", "k0b"), "repeats the marker"),
        "backwards within": (body(entry("k1b") + entry("k1a")), "goes backwards: 'k1a' after 'k1b'"),
        "cut off": (body(GOOD)[:-30], "not well-formed XML"),
        "empty": (b"", ""),
        "no XML": (b"<html>login", ""),
        "another document": (b"<html><body>ListVersionsResult</body></html>", "got <html>"),
        "a document type": (b"<!DOCTYPE x>" + body(GOOD), "document type"),
        "no IsTruncated": (body(GOOD).replace(b"IsTruncated", b"Truncated"), "IsTruncated"),
        "no marker": (body(GOOD).replace(b"false", b"true"), "no next marker"),
        "a key that is not UTF-8": (body(GOOD + entry("k1%FF")), "the key k1%FF is not UTF-8"),
        "bytes that are not UTF-8": (body(GOOD).replace(b"k1b", b"k\xff"), "not UTF-8"),
    }.items(),
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_bad_page_ends_a_capture_and_nothing_is_recorded(
    server: PageServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    _name: str,
    page: tuple[bytes, str],
) -> None:
    content, expected = page
    monkeypatch.setattr("rwm.s3.retry.RetryMixin.retry_seconds", 0.0)
    monkeypatch.setattr("rwm.states.capture._second", lambda *_: (1_795_176_000_000,) * 2)
    server.replaced = {"k0b": (200, content)}
    path = tmp_path / "rwm.conf"
    path.write_text(
        f"s3_endpoint_url: http://127.0.0.1:{server.port}\ns3_access_key: key\ns3_secret_key: secret\n"
        f"index_path: {tmp_path / 'index.sqlite'}\n"
    )
    path.chmod(0o600)
    assert run_command(cli, "rwm", ["state", "capture", "bucket1", "-c", str(path)]) == 1
    message = capsys.readouterr().err.splitlines()[0]
    assert "bucket1" in message and expected in message
    with Index.open(tmp_path / "index.sqlite") as index:
        assert index.states() == []
