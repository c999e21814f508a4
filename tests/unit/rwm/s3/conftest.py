"""A server on loopback that gives prepared responses."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from rwm.config import Credentials, S3Settings
from rwm.s3 import S3, connect
from tests.unit.rwm.s3.responses import Response, Serve


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a server that gives the responses in turn, the last one forever; ``paths`` collects the request paths."""
    servers: list[ThreadingHTTPServer] = []

    def start(*responses: Response, paths: list[str] | None = None) -> S3:
        left = [*responses]

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def respond(self) -> None:
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

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = respond

            def log_message(self, format: str, *args: object) -> None:
                """Log nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return connect(S3Settings(f"http://127.0.0.1:{server.server_port}", Credentials("key", "secret")))

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
