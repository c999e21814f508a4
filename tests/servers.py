"""The S3 servers that tests run against: SeaweedFS, a real Ceph RGW, and moto where nothing about security is said."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from moto.server import ThreadedMotoServer

from rwm import process
from rwm.config import Credentials, S3Settings
from rwm.embedded.server import EmbeddedS3
from rwm.s3 import S3, connect
from tests import ROOT

SCRIPTS = ROOT / "scripts"


@dataclass(frozen=True)
class Server:
    """A running server. ``accounts``: admin, user1, user2, and on RGW ``t1$admin`` and ``t1$user1``."""

    name: str
    endpoint: str
    region: str
    accounts: dict[str, Credentials]
    enforces: bool = True
    """Whether it refuses what a policy does not allow."""
    embedded: EmbeddedS3 | None = field(default=None, repr=False)
    ceph_conf: Path | None = field(default=None, repr=False)
    """For :meth:`ceph`."""

    def connect(self, account: str = "admin") -> S3:
        """A client for that account."""
        return connect(S3Settings(self.endpoint, self.accounts[account], self.region))

    def ceph(self, *command: str) -> str:
        """Run ``radosgw-admin`` or ``rados`` on the cluster of this RGW; returns what it prints."""
        program, *arguments = command
        run = [program, "-c", str(self.ceph_conf), *arguments]
        done = process.run(run, env={**os.environ, "PATH": _path()}, timeout=60)
        assert done.returncode == 0, (command, done.stderr)
        return done.stdout

    def environment(self, account: str) -> dict[str, str]:
        """The environment for restic and aws: ours, with the keys of that account."""
        keys = self.accounts[account]
        return {
            **os.environ,
            "AWS_ACCESS_KEY_ID": keys.access_key,
            "AWS_SECRET_ACCESS_KEY": keys.secret_key,
            "AWS_DEFAULT_REGION": self.region,
        }


@contextlib.contextmanager
def seaweedfs() -> Iterator[Server]:
    """SeaweedFS as the demo starts it."""
    with EmbeddedS3() as embedded:
        yield Server("seaweedfs", embedded.endpoint, embedded.region, embedded.credentials, embedded=embedded)


@contextlib.contextmanager
def rgw() -> Iterator[Server]:
    """Ceph RGW with its data in memory. Stopped and removed at the end; a taken port is retried with another one."""
    directory = Path(tempfile.mkdtemp(prefix="rwm-rgw-"))
    try:
        for attempt in range(3):
            port = _free_range(8)
            done = process.run(
                [str(SCRIPTS / "rgw-up.sh"), str(directory), str(port)],
                env={**os.environ, "STORE": "memstore", "FRESH": "1", "PATH": _path()},
                timeout=180,
            )
            if done.returncode == 0:
                break
            assert attempt < 2, f"rgw-up.sh failed:\n{done.stdout}{done.stderr}"
        values = dict(re.findall(r"(RGW_\w+)=(\S+)", (directory / "env.sh").read_text()))
        accounts = {
            account: Credentials(values[f"RGW_{name}_KEY"], values[f"RGW_{name}_SECRET"])
            for account, name in {
                "admin": "ADMIN",
                "user1": "USER1",
                "user2": "USER2",
                "t1$admin": "T1_ADMIN",
                "t1$user1": "T1_USER1",
            }.items()
        }
        yield Server("rgw", values["RGW_ENDPOINT"], "us-east-1", accounts, ceph_conf=directory / "ceph.conf")
    finally:
        process.run([str(SCRIPTS / "rgw-down.sh"), str(directory)], env={**os.environ, "PATH": _path()}, timeout=60)
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def moto() -> Iterator[Server]:
    """moto in a thread of ours: quick, takes any keys, and enforces nothing."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        accounts = {name: Credentials(f"{name.upper()}KEY", "secret") for name in ("admin", "user1", "user2")}
        yield Server("moto", f"http://{host}:{port}", "us-east-1", accounts, enforces=False)
    finally:
        server.stop()


def _path() -> str:
    """The PATH with the directories of root, where some of Ceph's programs are."""
    return f"{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/sbin:/sbin"


def _free_range(count: int) -> int:
    """The first of ``count`` ports in a row that are free now, below the range of outgoing connections."""
    ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for _ in range(200):
        first = random.randint(2048, max(ephemeral - count, 4096))
        with contextlib.ExitStack() as held, contextlib.suppress(OSError):
            for port in range(first, first + count):
                held.enter_context(socket.create_server(("127.0.0.1", port)))
            return first
    raise AssertionError("no free ports on 127.0.0.1")
