"""RWM, restic, aws and a mount reach one server in the same way: its certificate, its proxy, its addressing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest

from rwm.config import Credentials, S3Settings
from rwm.config.ca_file import CaFile
from rwm.embedded import server as embedded
from rwm.errors import Unreachable
from rwm.s3 import connect
from tests import restics
from tests.contract.buckets import unique, versioned
from tests.e2e.cli import Shell
from tests.servers import Server
from tests.tls import make_certificate, tls_before

KEYS = Credentials("ASIAEXAMPLE", "secret", "token")
PASSWORD = {"restic_password": "correct-horse-battery-staple"}


@pytest.fixture(params=["restic-debian", pytest.param("restic-current", marks=pytest.mark.slow)])
def shell(tmp_path: Path, request: pytest.FixtureRequest) -> Shell:
    """With each restic in turn."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "restic").symlink_to(restics.program(request.param))
    shell = Shell(tmp_path)
    shell.environment["PATH"] = f"{tmp_path}/bin:{shell.environment['PATH']}"
    return shell


# --- certificates ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def tls(seaweedfs: Server, certificate: tuple[Path, Path]) -> Iterator[str]:
    """SeaweedFS with a certificate that no system knows."""
    with tls_before(seaweedfs.endpoint, *certificate) as url:
        yield url


def test_an_authority_of_ones_own(shell: Shell, seaweedfs: Server, tls: str, certificate: tuple[Path, Path]) -> None:
    bucket = versioned(seaweedfs.connect(), "tls")
    more = {**PASSWORD, "restic_bucket": bucket, "s3_ca_file": str(certificate[0])}
    shell.configure("rwm.conf", tls, seaweedfs.accounts["admin"], more)
    shell("rwm", "restic", "init")
    shell("rwm", "state", "capture", bucket)
    assert "config" in shell("rwm", "aws", "s3", "ls", f"s3://{bucket}").stdout
    mount = shell.directory / "mnt"
    mount.mkdir()
    shell("rwmfs", "mount", bucket, "--at", "latest", mount)
    try:
        shell("restic", "-r", mount, "cat", "config", RESTIC_PASSWORD=PASSWORD["restic_password"])
    finally:
        shell("rwmfs", "umount", mount)


def test_an_unknown_authority_is_named_with_the_file(seaweedfs: Server, tls: str, tmp_path: Path) -> None:
    other = CaFile(make_certificate(tmp_path)[0], "AWS_CA_BUNDLE")
    settings = S3Settings(tls, seaweedfs.accounts["admin"], ca_file=other)
    with pytest.raises(Unreachable, match="certificate verify failed") as error:
        connect(settings, attempts=1).list_buckets()
    assert f"the certificate was checked with {other.path} (AWS_CA_BUNDLE): set s3_ca_file" in error.value.hint


def test_a_certificate_of_another_host(seaweedfs: Server, tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "DNS:s3.test")
    with tls_before(seaweedfs.endpoint, certificate, key) as url:
        settings = S3Settings(url, seaweedfs.accounts["admin"], ca_file=CaFile(certificate, "s3_ca_file"))
        with pytest.raises(Unreachable) as error:
            connect(settings, attempts=1).list_buckets()
    assert error.value.hint == "the certificate is of another host: check s3_endpoint_url"


# --- addressing and proxy ------------------------------------------------------------------------------------


class Seen(NamedTuple):
    """A request that a proxy got."""

    program: str
    url: str
    token: str


class RefusingProxy:
    """An HTTP proxy that refuses every request with 403, and keeps what it was asked."""

    def __init__(self) -> None:
        seen: list[Seen] = []

        class Handler(BaseHTTPRequestHandler):
            def refuse(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                program = self.headers["User-Agent"].partition("/")[0].partition(" ")[0]
                seen.append(Seen(program, self.path, self.headers.get("x-amz-security-token", "")))
                self.send_response(403)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = refuse

            def log_message(self, format: str, *args: object) -> None:
                """Log nothing."""

        self.seen = seen
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def proxy() -> Iterator[RefusingProxy]:
    proxy = RefusingProxy()
    yield proxy
    proxy.server.shutdown()
    proxy.server.server_close()


@pytest.mark.parametrize(
    ("addressing", "start"), [("path", "http://s3.test/bucket1"), ("virtual", "http://bucket1.s3.test/")]
)
def test_all_ask_the_proxy_for_the_same_host(shell: Shell, proxy: RefusingProxy, addressing: str, start: str) -> None:
    more = {"restic_bucket": "bucket1", "s3_addressing": addressing, "s3_session_token": KEYS.session_token}
    shell.configure("rwm.conf", "http://s3.test", KEYS, {**PASSWORD, **more})
    shell.environment["HTTP_PROXY"] = proxy.url
    for words in (
        ["state", "capture", "bucket1"],
        ["restic", "-o", "s3.retries=1", "cat", "config"],
        ["aws", "s3api", "head-object", "--bucket", "bucket1", "--key", "x"],
    ):
        shell("rwm", *words, code=None)
    assert {seen.program for seen in proxy.seen} == {"Boto3", "MinIO", "aws-cli"}
    assert not [seen for seen in proxy.seen if not seen.url.startswith(start)]
    assert {seen.token for seen in proxy.seen} == {KEYS.session_token}


@pytest.mark.slow
def test_a_server_with_a_host_for_each_bucket(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """SeaweedFS takes the part of the proxy, because no name server knows the hosts."""
    monkeypatch.setattr(embedded, "FLAGS", [*embedded.FLAGS, "-s3.domainName=s3.test"])
    bucket = unique("virtual")
    with embedded.EmbeddedS3() as server:
        more = {**PASSWORD, "restic_bucket": bucket, "s3_addressing": "virtual"}
        shell.configure("rwm.conf", "http://s3.test", server.credentials["admin"], more)
        shell.environment["HTTP_PROXY"] = server.endpoint
        shell("rwm", "storage", "create", bucket, "user1")
        shell("rwm", "restic", "init")
        shell("rwm", "restic", "backup", "/etc/hostname")
        shell("rwm", "state", "capture", bucket)
        assert "snapshots/" in shell("rwm", "aws", "s3", "ls", f"s3://{bucket}").stdout
        shell("rwm", "restic", "check")
