"""The ports of the embedded S3 server on 127.0.0.1."""

from __future__ import annotations

import random
import socket
from pathlib import Path

from rwm.errors import RwmError

GRPC_OFFSET = 10000
"""weed listens for gRPC on each HTTP port + 10000."""


def all_ports(first: int) -> list[int]:
    """The ports of S3, master, volume, filer and admin, then those of the same services for gRPC."""
    return [*range(first, first + 5), *range(first + GRPC_OFFSET, first + GRPC_OFFSET + 5)]


def choose_port(directory: Path) -> int:
    """The first of ten free ports: the same as the last time if possible, else a random one.

    All are below the range of ephemeral ports, which the kernel may assign to outgoing connections at any moment.
    """
    remembered = directory / "port"
    ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    last = max(ephemeral - GRPC_OFFSET - 5, 2048)
    candidates = [random.randint(1100, last) for _ in range(200)]  # noqa: S311 - not a secret
    if remembered.exists():
        candidates.insert(0, int(remembered.read_text()))
    for first in candidates:
        if all(_is_free(port) for port in all_ports(first)):
            remembered.write_text(f"{first}\n")
            return first
    raise RwmError("no free ports on 127.0.0.1 for the embedded S3 server")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as weed does
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def is_listening(port: int) -> bool:
    """Whether connections to the port on 127.0.0.1 are accepted."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
