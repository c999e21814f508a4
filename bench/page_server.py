"""An S3 server of prepared pages, in its own process: it excludes the speed of a real server from a comparison.

It has one bucket with a given number of versions (:mod:`bench.pages`). It answers the listing and HEAD requests of
RWM, boto3, aws and rclone, returns zeros for any object that is read, and discards what is written. Signatures are
not checked.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache, partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import unescape

from bench.pages import PAGE, Bucket, page

BUCKET = "b"
KEYS = ("key", "secret")
"""Any access key and secret are accepted."""

PIECE = 1 << 20
CACHED_PAGES = 64
"""Enough for a small bucket, so that only its first listing makes pages."""

_XML = '<?xml version="1.0" encoding="UTF-8"?><{0} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{1}</{0}>'


class Pages:
    """The pages of a bucket, with a cache of the last few."""

    def __init__(self, bucket: Bucket) -> None:
        self.get = lru_cache(CACHED_PAGES)(partial(page, bucket))
        self._bucket = bucket

    def head(self, key: str) -> dict[str, str] | None:
        """The headers of a HEAD response, consistent with the listing; None if the key does not exist."""
        number = self._bucket.find(key)
        if number is None:
            return None
        xml = self._bucket.xml(number, number + 1).decode()
        size, written, etag, version = (
            re.findall(f"<{name}>(.*?)</{name}>", xml)[0] for name in ("Size", "LastModified", "ETag", "VersionId")
        )
        return {
            "Content-Length": size,
            "Content-Type": "application/octet-stream",
            "ETag": unescape(etag, {"&quot;": '"'}),
            "Last-Modified": format_datetime(datetime.fromisoformat(written), usegmt=True),
            "x-amz-version-id": version,
        }


class Handler(BaseHTTPRequestHandler):
    """Handles one connection. A subclass for each server sets ``pages`` and ``delay``."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    pages: Pages
    delay: float

    def do_HEAD(self) -> None:
        """Answer for the bucket, or for an object that it lists."""
        key = unquote(urlsplit(self.path).path.strip("/").partition("/")[2])
        headers = self.pages.head(key) if key else {"Content-Length": "0"}
        self.send_response(404 if headers is None else 200)
        for name, value in (headers or {"Content-Length": "0"}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.flush()

    def do_GET(self) -> None:
        """Answer with a page, a setting, or the bytes of an object."""
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        if "versions" in query:
            time.sleep(self.delay)
            wanted = [query.get(name, "") for name in ("prefix", "delimiter", "key-marker")]
            self._answer(200, self.pages.get(*wanted, int(query.get("max-keys") or PAGE)))
        elif "versioning" in query:
            self._xml("VersioningConfiguration", "<Status>Enabled</Status>")
        elif "location" in query:
            self._xml("LocationConstraint", "")
        elif "uploads" in query:
            self._xml("ListMultipartUploadsResult", "<IsTruncated>false</IsTruncated>")
        elif "list-type" in query:
            self._xml("ListBucketResult", "<KeyCount>0</KeyCount><IsTruncated>false</IsTruncated>")
        else:
            self._bytes(query.get("versionId", "null"))

    def do_PUT(self) -> None:
        """Discard the body."""
        left = int(self.headers.get("Content-Length", "0"))
        while left > 0 and (piece := self.rfile.read(min(left, PIECE))):
            left -= len(piece)
        self._answer(200, b"", version="written")

    def _bytes(self, version: str) -> None:
        first, _, last = self.headers.get("Range", "bytes=0-0").removeprefix("bytes=").partition("-")
        length = int(last) - int(first) + 1
        span = f"bytes {first}-{last}/{1 << 40}"
        self._answer(206, b"\0" * length, "application/octet-stream", version=version, span=span)

    def _xml(self, root: str, content: str) -> None:
        self._answer(200, _XML.format(root, content).encode())

    def _answer(
        self, status: int, body: bytes, kind: str = "application/xml", *, version: str = "", span: str = ""
    ) -> None:
        self.send_response(status)
        for name, value in (("Content-Type", kind), ("x-amz-version-id", version), ("Content-Range", span)):
            if value:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def _serve(versions: int, delay: float, replaced: int, pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # on Ctrl-C the parent stops this process
    members = {"pages": Pages(Bucket(versions, replaced)), "delay": delay}
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), members))
    pipe.send(server.server_port)
    threading.Thread(target=_exit_with_parent, args=(pipe,), daemon=True).start()
    server.serve_forever()


def _exit_with_parent(pipe: Connection) -> None:
    """Exit when the parent has ended: it never sends anything, so only end of file makes the pipe readable."""
    pipe.poll(None)
    os._exit(0)


@contextmanager
def serve_pages(versions: int, delay: float = 0.0, replaced: int = 0) -> Iterator[str]:
    """Start a server with ``versions`` versions, and yield its URL. It waits ``delay`` seconds before each page.

    ``replaced`` as in :class:`bench.pages.Bucket`.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(versions, delay, replaced, there), daemon=True)
    process.start()
    there.close()
    try:
        yield f"http://127.0.0.1:{here.recv()}"
    finally:
        process.terminate()
        process.join()
