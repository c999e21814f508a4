"""Signatures of changed requests."""

from __future__ import annotations

from bench.proxy.faults import Request
from bench.proxy.message import Head
from bench.proxy.signing import signed
from rwm.config import Credentials

HEAD = Head(
    b"GET /b/%C3%BC?versionId=1 HTTP/1.1\r\nHost: h:1\r\nx-a: 1\r\nX-A: 2\r\nX-Ab:\r\nAuthorization: old\r\n\r\n"
)


def test_a_signature_is_in_the_query() -> None:
    head = signed(HEAD, Credentials("key", "secret"), "us-east-1")
    request = Request.of(head)
    assert request[:2] == ("GET", "/b/ü") and head.words[1].startswith("/b/%C3%BC?versionId=1&")
    assert request.query["X-Amz-SignedHeaders"] == "host" and len(request.query["X-Amz-Signature"]) == 64
    assert head.get("Authorization") is None and head.get("x-a") == "1"
