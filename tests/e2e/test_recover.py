"""`rwm recover` on buckets that were attacked, typed on a computer that has only keys and the restic password."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from rwm import process
from rwm.trust.evidence import SLACK
from tests import restics
from tests.e2e.cli import Shell
from tests.servers import Server

# One worker makes the bucket of all.
pytestmark = pytest.mark.xdist_group("recover")

PASSWORD = "correct-horse-battery-staple"
FILES = {"host1": "worth keeping 1\n", "host2": "worth keeping 2\n"}


class Attacked(NamedTuple):
    """A bucket with two repositories that no RWM has made; one of them was overwritten."""

    server: Server
    bucket: str

    def variables(self, account: str = "admin") -> dict[str, str]:
        """Endpoint and keys in the environment: all that an empty computer needs."""
        keys = self.server.accounts[account]
        return {
            "RWM_S3_ENDPOINT_URL": self.server.endpoint,
            "RWM_S3_ACCESS_KEY": keys.access_key,
            "RWM_S3_SECRET_KEY": keys.secret_key,
        }


def restic_into(server: Server, location: str, *words: str, restic: str = "restic") -> None:
    """Run plain restic on a repository in the bucket."""
    admin = server.accounts["admin"]
    variables = {
        "AWS_ACCESS_KEY_ID": admin.access_key,
        "AWS_SECRET_ACCESS_KEY": admin.secret_key,
        "RESTIC_PASSWORD": PASSWORD,
        "RESTIC_REPOSITORY": f"s3:{server.endpoint}/{location}",
    }
    done = process.run([restic, "--no-cache", *words], env={**os.environ, **variables})
    assert done.returncode == 0, done.stderr


def attacked_bucket(server: Server, directory: Path, restic: str = "restic") -> Attacked:
    """Back up with plain restic into a versioned bucket, then overwrite one repository."""
    bucket, admin = f"recover-{uuid.uuid4().hex[:12]}", server.connect()
    admin.create_bucket(bucket)
    admin.enable_versioning(bucket)
    for host, text in FILES.items():
        (directory / host).mkdir(parents=True)
        (directory / host / "file.txt").write_text(text)
        restic_into(server, f"{bucket}/{host}", "init", restic=restic)
        restic_into(server, f"{bucket}/{host}", "backup", str(directory / host), restic=restic)
    time.sleep(2 * SLACK / 1000)  # a quiet second between the last lock and the attack
    for version in list(admin.versions(bucket, "host1/")):
        if version.is_latest and not version.is_marker:
            admin.put(bucket, version.key, b"junk")
    return Attacked(server, bucket)


@pytest.fixture(scope="module")
def attacked_buckets() -> dict[str, Attacked]:
    """One for each server; no test changes what matters in it."""
    return {}


@pytest.fixture
def attacked(attacked_buckets: dict[str, Attacked], seaweedfs: Server, tmp_path: Path) -> Attacked:
    if seaweedfs.name not in attacked_buckets:
        attacked_buckets[seaweedfs.name] = attacked_bucket(seaweedfs, tmp_path / "machines")
    return attacked_buckets[seaweedfs.name]


@pytest.fixture
def computer(attacked: Attacked, tmp_path: Path) -> Iterator[Shell]:
    """A computer without index and configuration; its mount is ended."""
    (tmp_path / "empty").mkdir()
    shell = Shell(tmp_path / "empty", RESTIC_PASSWORD=PASSWORD, **attacked.variables())
    yield shell
    if (shell.directory / "repo").is_mount():
        shell("rwmfs", "umount", "repo")


def restore_commands(said: str) -> list[list[str]]:
    """The printed commands of restic, as words."""
    return [shlex.split(line) for line in said.splitlines() if line.startswith("  restic ")]


def run_restore(shell: Shell, command: list[str], restic: str = "restic") -> str:
    """Run a printed command with another target, and return the restored text."""
    target = shell.directory / "restored"
    shell(restic, *command[1:-1], target)
    (found,) = target.rglob("*.txt")
    text = found.read_text()
    shutil.rmtree(target)
    return text


def test_one_command_on_an_empty_computer(computer: Shell, attacked: Attacked) -> None:
    done = computer("rwm", "recover", attacked.bucket, "repo")
    happened, chosen, lost, mounted, *_ = done.stdout.splitlines()
    assert re.search(r"\d+ proofs? of an attack or a fault, the first at \S+Z \(\d+ other-content", happened)
    assert "captured from history: no recorded state is clean, as of the audit of" in chosen
    assert lost == "written later and not in it: 0 snapshots, 0 B"
    assert mounted == f"mounted at {computer.directory}/repo; `rwmfs umount {computer.directory}/repo` ends it"
    first, second = restore_commands(done.stdout)
    assert first[2:] == [f"{computer.directory}/repo/host1", "--no-cache", "restore", "latest", "--target",
                         "/restore/host1"]  # fmt: skip
    for name in restics.PROGRAMS:
        assert run_restore(computer, first, restics.program(name)) == FILES["host1"]
        assert run_restore(computer, second, restics.program(name)) == FILES["host2"]
    busy = computer("rwm", "recover", attacked.bucket, "repo", code=1)
    assert f"something is mounted at {computer.directory}/repo" in busy.stderr
    computer("rwmfs", "umount", "repo")
    again = computer("rwm", "recover", attacked.bucket, "repo").stdout
    assert "it is the newest clean one" in again
    listed = computer.json("rwm", "state", "list", attacked.bucket)
    assert [(state["origin"], state["verdict"]) for state in listed] == [("past", "clean")]
