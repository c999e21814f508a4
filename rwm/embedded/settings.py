"""What the embedded S3 server is given: accounts and their policies, ports, and a certificate."""

from __future__ import annotations

import json
import os
import random
import secrets
import socket
import sys
from pathlib import Path
from typing import Any

from rwm import process
from rwm.errors import RwmError, UsageError
from rwm.s3 import Credentials

ACCOUNTS = "s3.json"

GRPC = 10000
"""weed listens for gRPC on each HTTP port + 10000."""

USER2 = ("user2-*", "bucket2*")
"""The buckets of user2. All others are user1's."""

USER_ACTIONS = (
    "s3:AbortMultipartUpload",
    "s3:DeleteObject",
    "s3:GetBucketAcl",
    "s3:GetBucketLocation",
    "s3:GetBucketObjectLockConfiguration",
    "s3:GetBucketPolicy",
    "s3:GetBucketVersioning",
    "s3:GetLifecycleConfiguration",
    "s3:GetObject",
    "s3:ListBucket",
    "s3:ListBucketMultipartUploads",
    "s3:ListBucketVersions",
    "s3:ListMultipartUploadParts",
    "s3:PutObject",
)
"""What restic and ``rwm backup`` need: writing and hiding, but removing no version and changing no setting."""


def prepare(directory: Path) -> None:
    """Make the directory private. Raises UsageError when it holds something else than a server's data."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(directory.iterdir()) and not (directory / ACCOUNTS).exists():
        raise UsageError(f"{directory} is neither empty nor the directory of an embedded S3 server")
    directory.chmod(0o700)


def accounts(directory: Path) -> dict[str, Credentials]:
    """The accounts of the server in ``directory``, made with random keys the first time. The file has mode 0600."""
    path = directory / ACCOUNTS
    if not path.exists():
        text = json.dumps(_new_accounts(), indent=1)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
    try:
        identities = json.loads(path.read_text())["identities"]
        return {
            each["name"]: Credentials(each["credentials"][0]["accessKey"], each["credentials"][0]["secretKey"])
            for each in identities
        }
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise RwmError(f"{path} is not a file of accounts: {error!r}") from error


def _new_accounts() -> dict[str, Any]:
    def identity(name: str, actions: list[str], policies: list[str]) -> dict[str, Any]:
        keys = {"accessKey": secrets.token_hex(10).upper(), "secretKey": secrets.token_urlsafe(30)}
        return {"name": name, "credentials": [keys], "actions": actions, "policyNames": policies}

    def policy(name: str, *statements: dict[str, Any]) -> dict[str, str]:
        return {"name": name, "content": json.dumps({"Version": "2012-10-17", "Statement": statements})}

    user2 = [f"arn:aws:s3:::{pattern}" for pattern in USER2]
    return {
        "identities": [
            identity("admin", ["Admin"], []),
            identity("user1", [], ["rwm-user1"]),
            identity("user2", [], ["rwm-user2"]),
        ],
        "policies": [
            policy(
                "rwm-user1",
                {"Effect": "Allow", "Action": USER_ACTIONS, "Resource": ["arn:aws:s3:::*"]},
                {"Effect": "Deny", "Action": ["s3:*"], "Resource": user2},
            ),
            policy("rwm-user2", {"Effect": "Allow", "Action": USER_ACTIONS, "Resource": user2}),
        ],
    }


def ports(first: int) -> list[int]:
    """S3, master, volume, filer and admin, then the same for gRPC."""
    return [*range(first, first + 5), *range(first + GRPC, first + GRPC + 5)]


def choose_port(directory: Path) -> int:
    """The first port of ten that are free now: the last time's if possible, else random ones.

    All are below the range that the kernel hands out to outgoing connections, where any of them could be taken
    at any moment.
    """
    remembered = directory / "port"
    ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    last = max(ephemeral - GRPC - 5, 2048)
    candidates = [random.randint(1100, last) for _ in range(200)]  # noqa: S311 - no secret
    if remembered.exists():
        candidates.insert(0, int(remembered.read_text()))
    for first in candidates:
        if all(_free(port) for port in ports(first)):
            remembered.write_text(f"{first}\n")
            return first
    raise RwmError("no free ports on 127.0.0.1 for the embedded S3 server")


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as weed does
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def listening(port: int) -> bool:
    """Whether something accepts connections on that port of loopback."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def certificate(directory: Path, openssl: str) -> tuple[Path, Path]:
    """Certificate (its own authority) and key for gRPC, made the first time; openssl gives the key mode 0600."""
    cert, key = directory / "grpc.crt", directory / "grpc.key"
    if not cert.exists():
        command = f"{openssl} req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=rwm"
        done = process.run([*command.split(), "-keyout", str(key), "-out", str(cert)])
        if done.returncode != 0:
            raise RwmError(f"openssl made no certificate: {done.stderr.strip()[-200:]}")
    return cert, key


def beside_python(program: str) -> str | None:
    """The program of that name in the folder of our Python, where pip puts it even if it is not on the PATH."""
    path = Path(sys.executable).parent / program
    return str(path) if os.access(path, os.X_OK) else None
