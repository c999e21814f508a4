"""The embedded server: private files, no anonymous access, no leftovers."""

from __future__ import annotations

import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rwm import process
from rwm.embedded import server as embedded_server
from rwm.embedded.ports import choose_port, is_listening
from rwm.embedded.server import EmbeddedS3
from rwm.errors import AccessDenied, CommandMissing, RwmError, S3Error, UsageError
from rwm.s3 import S3
from tests.servers import Server


@pytest.fixture
def bucket(seaweedfs: Server, request: pytest.FixtureRequest) -> str:
    """A versioned bucket on the shared server."""
    name = f"embedded-{abs(hash(request.node.name)):x}"
    s3 = seaweedfs.connect()
    s3.create_bucket(name)
    s3.enable_versioning(name)
    return name


@pytest.fixture
def own(tmp_path: Path) -> Iterator[EmbeddedS3]:
    """A server that a test may stop and kill."""
    with EmbeddedS3(tmp_path / "s3") as server:
        yield server


def gone(pid: int, seconds: float = 120) -> bool:
    end = time.monotonic() + seconds
    while Path(f"/proc/{pid}/cmdline").exists():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


class TestLife:
    def test_data_survives_restart_and_crash(self, own: EmbeddedS3) -> None:
        s3, endpoint = own.connect(), own.endpoint
        s3.create_bucket("kept")
        s3.enable_versioning("kept")
        first = s3.put("kept", "key", b"one")
        own.restart()
        second = s3.put("kept", "key", b"two")
        own.kill()
        own.start()
        assert own.endpoint == endpoint
        assert [s3.get("kept", "key", version) for version in (first, second)] == [b"one", b"two"]

    def test_a_directory_can_be_reused(self, own: EmbeddedS3) -> None:
        own.connect().create_bucket("kept")
        own.close()
        with EmbeddedS3(own.directory) as again:
            assert again.credentials == own.credentials
            assert again.connect().list_buckets() == ["kept"]

    def test_close_removes_processes_and_files(self) -> None:
        with EmbeddedS3() as server:
            pid, ports, directory = server.pid, server.ports, server.directory
            assert all(is_listening(port) for port in ports)
        assert gone(pid, 0)
        assert not any(is_listening(port) for port in ports)
        assert not directory.exists()
        assert not [path for port in ports for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock")]

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
    def test_the_server_ends_with_its_parent(self, tmp_path: Path, number: signal.Signals) -> None:
        code = (
            "import time; from pathlib import Path; from rwm.embedded.server import EmbeddedS3\n"
            f"server = EmbeddedS3(Path({str(tmp_path / 's3')!r}))\n"
            "print(server.pid, *server.ports, flush=True); time.sleep(60)"
        )
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
            assert parent.stdout is not None
            pid, *ports = map(int, parent.stdout.readline().split())
            assert is_listening(ports[0])
            parent.send_signal(number)
        assert gone(pid)
        assert not any(is_listening(port) for port in ports)

    def test_other_ports_are_used_if_one_is_taken(self, own: EmbeddedS3) -> None:
        own.stop()
        with socket.create_server(("127.0.0.1", own.ports[0])):
            own.start()
        own.connect().create_bucket("there")

    def test_it_tries_again_if_a_port_is_taken_at_the_last_moment(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        taken = choose_port(tmp_path)
        choices = iter([taken])
        monkeypatch.setattr(embedded_server, "choose_port", lambda place: next(choices, 0) or choose_port(place))
        with socket.create_server(("127.0.0.1", taken)), EmbeddedS3(tmp_path / "s3") as server:
            assert server.ports[0] != taken
            server.connect().create_bucket("there")


class TestPrivacy:
    def test_modes_of_files(self, own: EmbeddedS3) -> None:
        def mode(path: Path) -> int:
            return stat.S_IMODE(path.stat().st_mode)

        assert mode(own.directory) == 0o700
        assert {mode(own.directory / name) for name in ("s3.json", "grpc.key", "weed.log")} == {0o600}

    def test_no_secret_is_on_a_command_line_or_in_the_log(self, own: EmbeddedS3) -> None:
        secret = {keys.secret_key for keys in own.credentials.values()}
        told = Path(f"/proc/{own.pid}/cmdline").read_text() + own.log_path.read_text()
        assert not [each for each in secret if each in told]
        assert not [each for each in secret if each in repr(own.credentials)]

    def test_only_loopback(self, own: EmbeddedS3) -> None:
        """The sockets of the process, from the kernel's own tables."""
        inodes = {str(link.readlink()) for link in Path(f"/proc/{own.pid}/fd").iterdir() if link.is_symlink()}
        addresses = set()
        for table in ("tcp", "tcp6", "udp", "udp6"):
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if f"socket:[{fields[9]}]" in inodes and fields[3] in {"0A", "07"}:
                    addresses.add(fields[1].partition(":")[0])
        assert addresses == {"0100007F"}

    def test_keys_in_the_environment_create_no_account(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "STRANGER")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "strangersecret")
        with EmbeddedS3(tmp_path / "s3") as server:
            server.credentials["stranger"] = server.credentials["admin"]._replace(
                access_key="STRANGER", secret_key="strangersecret"
            )
            with pytest.raises(AccessDenied):
                server.connect("stranger").list_buckets()


class TestUnauthenticated:
    """The other interfaces of weed store and delete nothing without a key."""

    @pytest.fixture
    def kept(self, seaweedfs: Server, bucket: str) -> Iterator[None]:
        """Check after the test that an earlier object still exists."""
        s3 = seaweedfs.connect()
        s3.put(bucket, "key", b"x" * 100_000)
        yield
        assert s3.get(bucket, "key") == b"x" * 100_000

    @pytest.mark.usefixtures("kept")
    @pytest.mark.parametrize("method", ["DELETE", "PUT", "POST"])
    def test_http(self, seaweedfs: Server, bucket: str, method: str) -> None:
        assert seaweedfs.embedded is not None
        s3, master, volume, filer, admin = seaweedfs.embedded.ports[:5]
        paths = {
            s3: f"/{bucket}/key",
            master: f"/col/delete?collection={bucket}",
            volume: "/1,01637037d6",
            filer: f"/buckets/{bucket}?recursive=true",
            admin: f"/api/s3/buckets/{bucket}",
        }
        for port, path in paths.items():
            request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method, data=b"")
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(request, timeout=60)
            caught.value.close()
            assert caught.value.code in {401, 403, 404, 405}, f"{method} {path}"

    @pytest.mark.usefixtures("kept")
    def test_weed_shell(self, seaweedfs: Server, bucket: str) -> None:
        """Without a certificate, weed's own shell deletes nothing; on an unprotected server it would."""
        assert seaweedfs.embedded is not None
        _, master, _, filer, _ = seaweedfs.embedded.ports[:5]
        weed = Path(sys.executable).parent / "weed"
        argv = [str(weed), "shell", f"-master=127.0.0.1:{master}", f"-filer=127.0.0.1:{filer}"]
        with pytest.raises(RwmError, match="did not end"):  # it tries to connect for ever
            process.run(argv, stdin=f"lock\nfs.rm -r /buckets/{bucket}\nunlock\n", timeout=5)


class TestAccounts:
    def test_user1_may_write_and_delete(self, seaweedfs: Server, bucket: str) -> None:
        user = seaweedfs.connect("user1")
        version = user.put(bucket, "key", b"body")
        user.put(bucket, "key", b"other")
        user.delete(bucket, "key")
        assert seaweedfs.connect().get(bucket, "key", version) == b"body"
        assert user.versioning(bucket) == "Enabled"
        assert user.policy(bucket) is None
        assert len(list(user.versions(bucket))) == 3

    def test_user1_may_not_delete_versions(self, seaweedfs: Server, bucket: str) -> None:
        user = seaweedfs.connect("user1")
        version = user.put(bucket, "key", b"body")
        failures = user.delete_versions(bucket, [("key", version)])
        assert [failure.key for failure in failures] == ["key"]
        with pytest.raises(Exception, match="AccessDenied"):
            user.client.delete_object(Bucket=bucket, Key="key", VersionId=version)
        assert seaweedfs.connect().get(bucket, "key", version) == b"body"

    FORBIDDEN: dict[str, Callable[[S3, str], object]] = {  # noqa: RUF012
        "suspend": lambda s3, bucket: s3.client.put_bucket_versioning(
            Bucket=bucket, VersioningConfiguration={"Status": "Suspended"}
        ),
        "policy": lambda s3, bucket: s3.put_policy(bucket, {"Version": "2012-10-17", "Statement": []}),
        "delete policy": lambda s3, bucket: s3.delete_policy(bucket),
        "delete bucket": lambda s3, bucket: s3.delete_bucket(bucket),
        "create bucket": lambda s3, bucket: s3.create_bucket(f"{bucket}-more"),
        "bucket acl": lambda s3, bucket: s3.client.put_bucket_acl(Bucket=bucket, ACL="public-read"),
        "object acl": lambda s3, bucket: s3.client.put_object_acl(Bucket=bucket, Key="key", ACL="public-read"),
        "lifecycle": lambda s3, bucket: s3.client.put_bucket_lifecycle_configuration(
            Bucket=bucket,
            LifecycleConfiguration={
                "Rules": [
                    {
                        "ID": "x",
                        "Status": "Enabled",
                        "Filter": {"Prefix": ""},
                        "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
                    }
                ]
            },
        ),
        "version's content": lambda s3, bucket: s3.get(bucket, "key", next(s3.versions(bucket)).version_id),
        "tags": lambda s3, bucket: s3.client.put_object_tagging(
            Bucket=bucket, Key="key", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]}
        ),
    }

    @pytest.mark.parametrize("what", FORBIDDEN)
    def test_user1_may_not_change_settings(self, seaweedfs: Server, bucket: str, what: str) -> None:
        user = seaweedfs.connect("user1")
        user.put(bucket, "key", b"body")
        with pytest.raises(Exception, match=r"AccessDenied|Access Denied|403"):
            self.FORBIDDEN[what](user, bucket)

    def test_users_have_separate_buckets(self, seaweedfs: Server, bucket: str) -> None:
        other = f"user2-{bucket}"
        seaweedfs.connect().create_bucket(other)
        seaweedfs.connect("user2").put(other, "key", b"body")
        for account, place in (("user2", bucket), ("user1", other)):
            s3 = seaweedfs.connect(account)
            attempts: list[Callable[[], object]] = [
                lambda s3=s3, place=place: s3.put(place, "key", b""),  # type: ignore[misc]
                lambda s3=s3, place=place: s3.get(place, "key"),  # type: ignore[misc]
                lambda s3=s3, place=place: list(s3.versions(place)),  # type: ignore[misc]
            ]
            for attempt in attempts:
                with pytest.raises(AccessDenied):
                    attempt()


class TestErrors:
    def test_without_seaweedfs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "/nonexistent")
        monkeypatch.setattr(sys, "executable", "/nonexistent/python")
        with pytest.raises(CommandMissing, match="needs SeaweedFS") as caught:
            EmbeddedS3()
        assert "rwm[demo]" in caught.value.hint

    def test_a_directory_with_other_files_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "letter").touch()
        with pytest.raises(UsageError, match="neither empty nor"):
            EmbeddedS3(tmp_path)

    def test_damaged_accounts(self, tmp_path: Path) -> None:
        (tmp_path / "s3.json").write_text("{}")
        with pytest.raises(RwmError, match="not a valid accounts file"):
            EmbeddedS3(tmp_path)

    def test_a_server_that_does_not_start(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        fake = tmp_path / "weed"
        fake.write_text("#!/bin/sh\necho 'E1123 10:04:26.335857 mini.go:1244 no room' >&2\nexit 1\n")
        fake.chmod(0o755)
        monkeypatch.setattr("rwm.process.find_beside_python", lambda _: str(fake))
        with pytest.raises(RwmError, match="does not start: no room"):
            EmbeddedS3(tmp_path / "s3")

    def test_a_server_that_does_not_answer(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        fake = tmp_path / "weed"
        fake.write_text("#!/bin/sh\necho starting >&2\nexec sleep 60\n")
        fake.chmod(0o755)
        monkeypatch.setattr("rwm.process.find_beside_python", lambda _: str(fake))
        monkeypatch.setattr("rwm.embedded.server.READY_TIMEOUT", 0.5)
        with pytest.raises(RwmError, match=r"not ready after 0\.5 s: starting"):
            EmbeddedS3(tmp_path / "s3")


def test_s3_errors_are_mapped(seaweedfs: Server) -> None:
    with pytest.raises(S3Error):
        seaweedfs.connect("user1").create_bucket("no")
