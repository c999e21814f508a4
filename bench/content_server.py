"""An S3 server that answers every GET with the same content, at little cost, so that the client is what is measured."""

from __future__ import annotations

import multiprocessing
import os
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import NamedTuple

VERSION = "v1"
_HEAD = (
    "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {size}\r\n"
    'ETag: "e"\r\nx-amz-version-id: {version}\r\n\r\n'
)


class ContentServer(NamedTuple):
    """A server process."""

    url: str
    pid: int


@contextmanager
def content_server(content: bytes) -> Iterator[ContentServer]:
    """Start a server process; it ends with the block."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(content, theirs), daemon=True)
    process.start()
    try:
        assert process.pid is not None
        yield ContentServer(f"http://127.0.0.1:{ours.recv()}", process.pid)
    finally:
        process.terminate()
        process.join()


def _serve(content: bytes, pipe: Connection) -> None:
    with tempfile.TemporaryFile() as file, socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        file.write(content)
        file.flush()
        pipe.send(server.getsockname()[1])
        while True:
            connection, _ = server.accept()
            threading.Thread(target=_answer, args=(connection, file.fileno(), len(content)), daemon=True).start()


def _answer(connection: socket.socket, file: int, size: int) -> None:
    """Answer the requests of a connection; none has a body."""
    head = _HEAD.format(size=size, version=VERSION).encode()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # a small body must not wait for an ACK
    received = b""
    with connection:
        while data := connection.recv(1 << 16):
            received += data
            while b"\r\n\r\n" in received:
                received = received.partition(b"\r\n\r\n")[2]
                connection.sendall(head)
                sent = 0
                while sent < size:
                    sent += os.sendfile(connection.fileno(), file, sent, size - sent)
