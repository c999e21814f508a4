"""Every command line of the original tool's README."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rwm import process
from rwm.config import Credentials
from rwm.location import Location
from rwm.storage import delete_storage
from tests import ROOT
from tests.e2e.cli import BIN, Shell
from tests.servers import Server

# All of them want bucket1, and /mnt/restore: one after the other.
pytestmark = pytest.mark.xdist_group("bucket1")

EXAMPLES = ROOT / "examples"
TURN = Path("/tmp/rwm-tests-directories.lock")


@pytest.fixture(params=["seaweedfs", pytest.param("rgw", marks=pytest.mark.slow)])
def server(request: pytest.FixtureRequest) -> Server:
    """Each real server in turn."""
    chosen: Server = request.getfixturevalue(request.param)
    return chosen


@pytest.fixture
def shell(server: Server, tmp_path: Path) -> Iterator[Shell]:
    """A checkout's directory, with the programs that `make install` puts on the PATH."""
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    shell = Shell(tmp_path)
    yield shell
    admin = server.connect()
    if admin.bucket_exists("bucket1"):
        assert delete_storage(admin, Location("bucket1")) == []


@pytest.fixture
def directories() -> Iterator[None]:
    """/data with a file to back up, and /mnt/restore, which the README assumes.

    Theirs are absolute paths: two runs of the tests on one machine take turns.
    """
    with TURN.open("a") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield from _directories()


def _directories() -> Iterator[None]:
    made = [path for path in (Path("/data"), Path("/mnt/restore")) if not path.exists()]
    for path in made:
        path.mkdir()
    if Path("/data") in made:
        Path("/data/file").write_text("something worth keeping\n")
    yield
    for path in made:
        shutil.rmtree(path)


def copy(shell: Shell, line: str, server: Server, account: str) -> None:
    """``cp examples/X Y``, then fill in the endpoint and the keys."""
    shell.line(line)
    path = shell.directory / line.split()[-1]
    fill_in(path, server.endpoint, server.accounts[account])


def fill_in(path: Path, endpoint: str, account: Credentials) -> None:
    text = path.read_text()
    for name, value in (
        ("s3_endpoint_url", endpoint),
        ("s3_access_key", account.access_key),
        ("s3_secret_key", account.secret_key),
    ):
        text = re.sub(rf"^{name}: .*$", f'{name}: "{value}"', text, flags=re.MULTILINE)
    path.write_text(text)
    path.chmod(0o600)


def mount_restore(shell: Shell) -> list[str]:
    """``rwm restic mount /mnt/restore`` until Ctrl-C; returns the files that it shows in the latest snapshot."""
    line = f"cd {shell.directory} && exec rwm restic mount /mnt/restore"
    log = shell.directory / "mount.log"
    shown: list[str] = []
    with process.spawn(["bash", "-c", line], env=shell.environment, log_path=log) as mount:
        while not shown:  # restic reads its index once somebody asks
            assert mount.running(), log.read_text()
            time.sleep(0.1)
            shown = [name for _, _, names in os.walk("/mnt/restore/snapshots/latest/") for name in names]
        os.kill(mount.pid, signal.SIGINT)
        while mount.running():
            time.sleep(0.1)
    assert not Path("/mnt/restore").is_mount()
    return shown


def test_simple_backups(shell: Shell, server: Server, directories: None) -> None:
    """One account and an unprotected bucket made by restic; the backup ends with exit code 4."""
    copy(shell, "cp examples/rwm-backups.conf rwm.conf", server, "admin")
    assert "created restic repository" in shell.line("rwm restic init").stdout
    backup = shell.line("rwm backup_all", code=4)
    assert re.search(r"^etc +ok", backup.stdout, re.MULTILINE)
    assert "no state was captured: bucket bucket1 has no versioning" in backup.stderr
    assert "1 snapshots" in shell.line("rwm restic snapshots").stdout
    assert "hostname" in mount_restore(shell)


def test_backups_with_policed_buckets(shell: Shell, server: Server, directories: None) -> None:
    copy(shell, "cp examples/rwm-admin.conf admin.conf", server, "admin")
    assert "bucket bucket1 is ready" in shell.line("rwm --confg admin.conf create_storage bucket1 user1").stdout
    assert "is protected" in shell.line("rwm --confg admin.conf storage_check_policy bucket1").stdout
    assert re.search(r"bucket1 +Enabled +protected", shell.line("rwm --confg admin.conf storage_list").stdout)

    copy(shell, "cp examples/rwm-backups.conf rwm.conf", server, "user1")
    shell.line("rwm restic init")
    assert "is protected" in shell.line("rwm storage_check_policy bucket1").stdout

    backup = shell.line("rwm backup_all")
    assert re.search(r"^etc +ok", backup.stdout, re.MULTILINE)
    assert re.search(r"^\(state\) +ok", backup.stdout, re.MULTILINE)
    assert "warning" not in backup.stderr
    assert "1 snapshots" in shell.line("rwm restic snapshots").stdout
    assert "hostname" in mount_restore(shell)

    before = shell.json("rwm", "-c", "admin.conf", "storage", "info", "bucket1")
    dropped = shell.line("rwm --confg admin.conf storage_drop_versions bucket1").stdout
    assert before["noncurrent_versions"] > 0
    assert f"deleted {before['noncurrent_versions'] - 1} versions" in dropped, "the oldest lock stays as evidence"
    after = shell.json("rwm", "-c", "admin.conf", "storage", "info", "bucket1")
    assert (after["noncurrent_versions"], after["delete_markers"]) == (3, 1), "record and report have two versions each"
    assert after["objects"] == before["objects"] + 3, "a record, a report, and its lines"
    shell.line("rwm restic check --read-data")


def test_aws_command_line(shell: Shell, server: Server) -> None:
    server.connect().create_bucket("bucket1")
    copy(shell, "cp examples/rwm-restic.conf rwm.conf", server, "admin")
    assert "bucket1" in shell.line("rwm aws s3 ls s3://").stdout
    assert '"Name": "bucket1"' in shell.line("rwm aws s3api list-buckets").stdout
    assert shell.line("rwm aws -- s3api --help").stdout.startswith("usage: aws ")


def test_manual_restic_backup(shell: Shell, server: Server, directories: None) -> None:
    copy(shell, "cp examples/rwm-restic.conf rwm.conf", server, "admin")
    shell.line("rwm restic init")
    assert "saved" in shell.line("rwm restic backup /data").stdout
    assert "/data" in shell.line("rwm restic snapshots").stdout
    assert mount_restore(shell)


def test_spellings_with_dashes(shell: Shell, server: Server) -> None:
    """The original's later versions wrote its commands with dashes, and restored a state to another bucket."""
    copy(shell, "cp examples/rwm-admin.conf admin.conf", server, "admin")
    copy(shell, "cp examples/rwm-backups.conf rwm.conf", server, "user1")
    shell.line("rwm -c admin.conf storage-create bucket1 user1")
    shell.line("rwm restic init")
    shell.line("rwm backup-all")
    shell.line("rwm -c admin.conf storage-list")
    shell.line("rwm -c admin.conf storage-check-policy bucket1")
    shell.line("rwm -c admin.conf storage-info bucket1")
    shell.line("rwm -c admin.conf storage-state bucket1")
    state = shell.json("rwm", "-c", "admin.conf", "state", "list", "bucket1")[0]
    name = f"rwm/states/{state['captured_at']}-{state['id']}.jsonl.gz"
    shell.line(f"rwm -c admin.conf storage-restore-state bucket1 bucket1-copy {name}")
    assert shell.json("rwm", "-c", "admin.conf", "storage", "info", "bucket1-copy")["objects"] == state["objects"]
    shell.line("rwm -c admin.conf storage-delete bucket1-copy --yes")
    shell.line("rwm -c admin.conf storage-drop-versions bucket1")


def test_installed_programs_are_on_the_path() -> None:
    assert (BIN / "rwm").exists()
    assert (BIN / "rwmfs").exists()
