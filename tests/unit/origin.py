"""A server behind a proxy: one object at every path, whole or by range, framed as the query says."""

from __future__ import annotations

import http.client
import re
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import urlsplit

CONTENT = bytes(range(256)) * 2000
"""Larger than any buffer on the way."""


class Handler(BaseHTTPRequestHandler):
    """``?chunked``, ``?until-close``, ``?none`` (204), ``?unread`` (refuses a body)."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Origin

    def do_GET(self) -> None:
        query = urlsplit(self.path).query
        part, span = CONTENT, re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if query == "none":
            self.send_response(204)
            self.end_headers()
            return
        self.send_response(200 if span is None else 206)
        if span is not None:
            part = CONTENT[int(span[1]) : int(span[2]) + 1]
            self.send_header("Content-Range", f"bytes {span[1]}-{span[2]}/{len(CONTENT)}")
        self.send_header("x-amz-version-id", "v1")
        if query == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for start in range(0, len(part), 100_001):
                piece = part[start : start + 100_001]
                self.wfile.write(b"%x;name=value\r\n%b\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\nX-Trailer: last\r\n\r\n")
        elif query == "until-close":
            self.end_headers()
            self.wfile.write(part)
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(len(part)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(part)

    do_HEAD = do_GET

    def handle_expect_100(self) -> bool:
        """Refuse, and leave the body, or let it come."""
        if urlsplit(self.path).query != "unread":
            return super().handle_expect_100()
        self._done(403)
        return False

    def do_PUT(self) -> None:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline() != b"\r\n":
                pass
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.bodies.append(body)
        self._done(200)

    def _done(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Origin(ThreadingHTTPServer):
    """``bodies`` are what came, ``connections`` counts."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.bodies: list[bytes] = []
        self.connections = 0

    def verify_request(self, *_: object) -> bool:
        """Count the connection."""
        self.connections += 1
        return True

    def handle_error(self, *_: object) -> None:
        """Connections that break are what this is for."""


@contextmanager
def running() -> Iterator[Origin]:
    """An origin, until the end of the context."""
    with Origin() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes


def ask(
    url: str, target: str = "/b/key", method: str = "GET", body: bytes | None = None, *, range: str | None = None
) -> Answer:
    """One request on a connection of its own."""
    with closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)) as connection:
        return on(connection, target, method, body, range=range)


def on(
    connection: http.client.HTTPConnection,
    target: str = "/b/key",
    method: str = "GET",
    body: bytes | None = None,
    *,
    range: str | None = None,
) -> Answer:
    """One request on this connection."""
    connection.request(method, target, body, {} if range is None else {"Range": range})
    answer = connection.getresponse()
    return Answer(answer.status, answer.headers, answer.read())
