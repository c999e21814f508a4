"""TLS before a server that has none, and what a server sees of such a proxy."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

from rwm import process
from rwm.s3 import S3


def make_certificate(directory: Path, names: str = "IP:127.0.0.1") -> tuple[Path, Path]:
    """A certificate that is its own authority, and its key."""
    certificate, key = directory / "server.pem", directory / "server.key"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=rwm"
    options = ["-addext", f"subjectAltName={names}", "-keyout", str(key), "-out", str(certificate)]
    done = process.run([*command.split(), *options])
    assert done.returncode == 0, done.stderr
    return certificate, key


@contextlib.contextmanager
def tls_before(endpoint: str, certificate: Path, key: Path) -> Iterator[str]:
    """The URL of a server that decrypts, and passes everything on to ``endpoint``."""
    target = urlsplit(endpoint)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def serve(connection: socket.socket) -> None:
        with (
            contextlib.suppress(OSError),
            context.wrap_socket(connection, server_side=True) as client,
            socket.create_connection((target.hostname or "", target.port or 0)) as server,
        ):
            back = Thread(target=_copy, args=(server, client), daemon=True)
            back.start()
            _copy(client, server)
            back.join()

    def accept() -> None:
        with contextlib.suppress(OSError):  # closed at the end
            while True:
                Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        Thread(target=accept, daemon=True).start()
        yield f"https://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)


def through_tls(s3: S3) -> None:
    """Mark all requests of a client as those that a proxy with TLS passes on: RGW takes keys of the client then."""

    def mark(request: Any, **_: object) -> None:
        request.headers["X-Forwarded-Proto"] = "https"

    s3.client.meta.events.register("before-sign.s3", mark)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
