"""`rwm recover` on buckets that were attacked, typed on a computer that has only keys and the restic password."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from rwm import process
from rwm.trust.evidence import SLACK
from tests import repositories, restics
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
        repositories.create_in(admin, f"{bucket}/{host}", PASSWORD)
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


def test_an_attack_on_one_machine_takes_nothing_from_another(computer: Shell, attacked: Attacked) -> None:
    """A state that was captured after the attack is suspect because of host1, and the last clean one of host2."""
    after = computer.json("rwm", "state", "capture", attacked.bucket)["id"]
    found = {
        place: computer.json("rwm", "recover", place)
        for place in (attacked.bucket, f"{attacked.bucket}/host1", f"{attacked.bucket}/host2")
    }
    whole, host1, host2 = (each["state"] and each["state"]["id"] for each in found.values())
    assert host2 == after
    assert after not in (whole, host1)
    proofs = [each["proofs"] > 0 for each in found.values()]
    assert proofs == [True, True, False]
    listed = computer.json("rwm", "state", "list", f"{attacked.bucket}/host2")
    assert listed[-1]["verdict"] == "clean"
    (computer.directory / "repo").mkdir()
    mounted = computer("rwmfs", "mount", f"{attacked.bucket}/host2", "--at", "last-clean", "repo")
    assert f"last-clean: state {after[:12]} of " in mounted.stderr
    computer("rwmfs", "umount", "repo")
    computer("rwm", "audit", attacked.bucket, "--capture", code=4)
    assert computer.json("rwm", "state", "list", attacked.bucket)[-1]["verdict"] == "suspect"
    suspect = computer("rwmfs", "mount", attacked.bucket, "--at", after, "repo")
    assert f"state {after[:12]} is suspect by the audit of" in suspect.stderr
    computer("rwmfs", "umount", "repo")
    computer("rwmfs", "mount", attacked.bucket, "repo")
    repo = computer.directory / "repo"
    assert (repo / "latest").readlink() == Path("ids", after)
    assert (repo / "last-clean").readlink() != Path("ids", after)
    done = computer("restic", "-r", repo / "last-clean" / "host1", "--no-cache", "check", "--read-data")
    assert "no errors were found" in done.stdout


def test_last_clean_is_captured_where_a_state_is_named(computer: Shell, attacked: Attacked) -> None:
    place = f"{attacked.bucket}/host1"
    (computer.directory / "repo").mkdir()
    refused = computer("rwmfs", "mount", place, "--at", "last-clean", "repo", code=1)
    assert "there is no index" in refused.stderr
    shown = computer("rwm", "state", "show", "last-clean", "-b", place, "--json")
    assert "last-clean: state " in shown.stderr
    assert any(entry["key"] == "host1/config" for entry in json.loads(shown.stdout)["entries"])
    again = computer.json("rwm", "audit", place, "--capture", code=4)
    assert again["last_clean"] == json.loads(shown.stdout)["id"]
    computer("rwm", "state", "restore", "last-clean", "-b", place, "--to-dir", "copy")
    assert (computer.directory / "copy" / "config").exists()


def test_what_cannot_be_recovered(computer: Shell, attacked: Attacked) -> None:
    def refuse(*words: str, code: int, says: str, **variables: str) -> None:
        done = computer("rwm", "recover", *words, code=code, **variables)
        assert says in done.stderr
        assert done.stdout == "" or code == 5

    bucket, here = attacked.bucket, computer.directory
    (here / "full").mkdir()
    (here / "full" / "file").touch()
    refuse("no-such-bucket-here", "repo", code=1, says="no-such-bucket-here")
    refuse(bucket, "full", code=1, says=f"mountpoint {here}/full is not empty")
    refuse(bucket, "full/file", code=1, says="is not a directory")
    refuse(bucket, "--to-dir", "full", code=5, says="directory full is not empty")
    refuse(bucket, "repo", "--to-dir", "copy", code=2, says="a mountpoint and --to-dir are both given")
    refuse(bucket, "repo", "--at", "abcdef", code=1, says="has an id that begins with abcdef")
    refuse(bucket, "repo", code=6, says="rwm: ", RWM_S3_SECRET_KEY="wrong")
    refuse(f"{bucket}/nothing", "repo", code=1, says="nothing is stored below")
    assert not (here / "repo").exists()


def test_nothing_that_is_clean_is_chosen(computer: Shell, attacked: Attacked) -> None:
    """A repository that was overwritten before it was complete."""
    s3, bucket = attacked.server.connect(), attacked.bucket
    for content in (b"c" * 155, b"junk"):
        s3.put(bucket, "host3/config", content)
    for directory in ("keys/", "index/", "snapshots/", "data/00/"):
        s3.put(bucket, f"host3/{directory}{'0' * 64}", b"x" * 100)
    place = f"{bucket}/host3"
    try:
        refused = computer("rwm", "recover", place, "repo", code=4)
        assert "no recorded state is clean, and no second is known" in refused.stderr
        assert f"`rwm audit {place}` lists what was found; --at STATE" in refused.stderr
        state = computer.json("rwm", "state", "capture", place)
        chosen = computer("rwm", "recover", place, "--at", "latest")
        assert f"state {state['id'][:12]} of" in chosen.stdout
        assert "--at names it, its verdict is review" in chosen.stdout
    finally:
        s3.delete_versions(bucket, [(each.key, each.version_id) for each in s3.versions(bucket, "host3/")])


def is_mounting(mountpoint: Path) -> bool:
    """Whether a mount there was begun and is not ready."""
    name = os.fsencode(mountpoint)
    lines = (path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists())
    with suppress(FileNotFoundError, ProcessLookupError):
        return not mountpoint.is_mount() and any(b"rwmfs" in line and name in line for line in lines)
    return True  # a process has ended meanwhile: look again


STEPS: dict[str, Callable[[Path], bool]] = {
    "begun": lambda _: True,
    "synchronized": lambda directory: any(directory.rglob("index.sqlite")),
    "described": lambda directory: b"of an attack" in (directory / "log").read_bytes(),
    "mounting": lambda directory: is_mounting(directory / "repo"),
}
"""What is seen in the directory of a recovery when it has come to a step."""


@pytest.mark.parametrize(
    "step", ["described", *(pytest.param(step, marks=pytest.mark.slow) for step in STEPS if step != "described")]
)
def test_killed_in_the_middle_and_run_again(computer: Shell, attacked: Attacked, step: str) -> None:
    command = [sys.executable, "-m", "rwm", "recover", attacked.bucket, str(computer.directory / "repo")]
    with process.spawn(command, env=computer.environment, log_path=computer.directory / "log") as run:
        while run.running() and not STEPS[step](computer.directory):
            time.sleep(0.01)
        run.kill()
    while is_mounting(computer.directory / "repo"):
        time.sleep(0.1)
    if (computer.directory / "repo").is_mount():
        computer("rwmfs", "umount", "repo")
    first, _ = restore_commands(computer("rwm", "recover", attacked.bucket, "repo").stdout)
    assert run_restore(computer, first) == FILES["host1"]


@pytest.mark.slow
def test_on_a_real_ceph_gateway(rgw: Server, restic_program: str, tmp_path: Path) -> None:
    attacked = attacked_bucket(rgw, tmp_path / "machines", restic_program)
    shell = Shell(tmp_path, RESTIC_PASSWORD=PASSWORD, **attacked.variables())
    said = shell("rwm", "recover", attacked.bucket, "repo").stdout
    try:
        for command, text in zip(restore_commands(said), FILES.values(), strict=True):
            assert run_restore(shell, command, restic_program) == text
    finally:
        shell("rwmfs", "umount", "repo")
