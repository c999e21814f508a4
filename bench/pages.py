"""A server of prepared listing pages, in a process of its own: takes a real server's speed out of a comparison."""

from __future__ import annotations

import hashlib
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from urllib.parse import parse_qs, urlsplit

PAGE = 1000
_VERSION = (
    "<Version><Key>{key}</Key><VersionId>{version}</VersionId><IsLatest>true</IsLatest>"
    "<LastModified>2026-11-{day:02}T{hour:02}:{minute:02}:07.{ms:03}Z</LastModified><ETag>&quot;{etag}&quot;</ETag>"
    "<Size>{size}</Size><StorageClass>STANDARD</StorageClass><Owner><ID>user1</ID><DisplayName>user1</DisplayName>"
    "</Owner><Type>Normal</Type></Version>"
)


def page(number: int, last: int) -> bytes:
    """Page ``number`` of a bucket of restic packs, as Ceph RGW writes it."""
    names = sorted(hashlib.sha256(f"{number}/{n}".encode()).hexdigest() for n in range(PAGE))
    keys = [f"data/{number:04x}{name}" for name in names]
    entries = "".join(
        _VERSION.format(
            key=key,
            version=key[-31:],
            day=n % 28 + 1,
            hour=n % 24,
            minute=n % 60,
            ms=n,
            etag=key[-32:],
            size=n + 4 << 20,
        )
        for n, key in enumerate(keys)
    )
    more = number < last
    markers = f"<NextKeyMarker>{keys[-1]}</NextKeyMarker><NextVersionIdMarker>{keys[-1][-31:]}</NextVersionIdMarker>"
    return (
        '<?xml version="1.0" encoding="UTF-8"?><ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<EncodingType>url</EncodingType><Name>b</Name><MaxKeys>{PAGE}</MaxKeys>"
        f"<IsTruncated>{str(more).lower()}</IsTruncated>{markers if more else ''}{entries}</ListVersionsResult>"
    ).encode()


def _serve(pages: int, pipe: Connection) -> None:
    bodies = [page(number, pages - 1) for number in range(pages)]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            marker = parse_qs(urlsplit(self.path).query).get("key-marker", [""])[0]
            body = bodies[int(marker[5:9], 16) + 1 if marker else 0]
            self.send_response(200)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    pipe.send(server.server_port)
    server.serve_forever()


@contextmanager
def serving(pages: int) -> Iterator[str]:
    """The URL of a server of so many pages of 1,000 versions each."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(pages, there), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}"
    finally:
        process.terminate()
        process.join()
