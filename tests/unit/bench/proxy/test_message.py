"""Heads of requests and answers, and the framing of bodies."""

from __future__ import annotations

import pytest

from bench.proxy.faults import Request
from bench.proxy.message import BadMessage, Frame, Head, Open, answer_frame, chunk_size, request_frame

HEAD = Head(
    b"GET /b/%C3%BC?versionId=1 HTTP/1.1\r\nHost: h:1\r\nx-a: 1\r\nX-A: 2\r\nX-Ab:\r\nAuthorization: old\r\n\r\n"
)


def answer(*lines: str, status: int = 200) -> Head:
    return Head("".join(f"{line}\r\n" for line in [f"HTTP/1.1 {status} What it is", *lines, ""]).encode())


def test_the_first_line_has_three_parts() -> None:
    assert HEAD.words == ("GET", "/b/%C3%BC?versionId=1", "HTTP/1.1")
    assert answer().words == ("HTTP/1.1", "200", "What it is")
    assert Head(b"HTTP/1.1 204\r\n\r\n").status == 204


@pytest.mark.parametrize("line", [b"", b"GET", b"GET /", b"GET / SMTP/1.0", b"\x16\x03\x01"])
def test_an_invalid_first_line(line: bytes) -> None:
    with pytest.raises(BadMessage):
        _ = Head(line + b"\r\n\r\n").words


def test_header_names_are_case_insensitive() -> None:
    found = [HEAD.get(name) for name in ("host", "X-A", "x-ab", "X", "b")]
    assert found == ["h:1", "1", "", None, None]


def test_replaced_changes_one_header_only() -> None:
    begin = b"GET /b/%C3%BC?versionId=1 HTTP/1.1\r\nHost: h:1\r\n"
    assert HEAD.replaced("X-a", "3").raw == begin + b"X-Ab:\r\nAuthorization: old\r\nX-a: 3\r\n\r\n"
    assert HEAD.replaced("X-a", None).raw == begin + b"X-Ab:\r\nAuthorization: old\r\n\r\n"
    assert HEAD.replaced("X-b", None) == HEAD


def test_a_request_is_parsed() -> None:
    assert Request.of(HEAD) == ("GET", "/b/ü", {"versionId": "1"}, None)
    assert Request.of(HEAD.replaced("range", "bytes=0-1")).range == "bytes=0-1"


@pytest.mark.parametrize(
    ("lines", "frame"),
    [
        ([], 0),
        (["Content-Length: 12"], 12),
        (["transfer-encoding: Chunked"], Open.CHUNKED),
        (["Content-Length: 12", "Transfer-Encoding: chunked"], Open.CHUNKED),
    ],
)
def test_request_frame(lines: list[str], frame: Frame) -> None:
    assert request_frame(answer(*lines)) == frame


@pytest.mark.parametrize(
    ("head", "method", "frame"),
    [
        (answer("Content-Length: 12"), "GET", 12),
        (answer("Content-Length: 12"), "HEAD", 0),
        (answer("Transfer-Encoding: chunked"), "HEAD", 0),
        (answer("Transfer-Encoding: chunked"), "PUT", Open.CHUNKED),
        (answer("Content-Length: 12", status=304), "GET", 0),
        (answer(status=204), "DELETE", 0),
        (answer(status=100), "PUT", 0),
        (answer(), "GET", Open.UNTIL_CLOSE),
    ],
)
def test_answer_frame(head: Head, method: str, frame: Frame) -> None:
    assert answer_frame(head, method) == frame


@pytest.mark.parametrize("length", ["", "-1", "+1", "1_0", "1 0", "0x1", "9" * 19, "١"])
def test_an_invalid_length(length: str) -> None:
    with pytest.raises(BadMessage):
        request_frame(Head(f"PUT / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n".encode()))


def test_chunk_size() -> None:
    assert [chunk_size(line) for line in (b"0\r\n", b"fF\r\n", b"10;a=b\r\n", b"010 \r\n")] == [0, 255, 16, 16]
    for line in (b"\r\n", b"-1\r\n", b"g\r\n", b"0x1\r\n"):
        with pytest.raises(BadMessage):
            chunk_size(line)
