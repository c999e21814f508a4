"""``rwm prune`` that is killed with SIGKILL: what is left is safe, and the same command does the rest."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from rwm import prune
from rwm.index import Index
from rwm.location import Location
from rwm.s3 import S3
from rwm.trust import audit_location
from tests.contract.test_prune import History, everything, files, history, index, present, s3
from tests.e2e.cli import Shell
from tests.servers import Server

__all__ = ["history", "index", "s3"]

CHILD = """
import os, signal, sys
from rwm.prune import delete_batches
from rwm.s3 import S3

delete_batches.DELETE_BATCH, delete_batches.THREADS = 6, 1
left, plain = int(os.environ["REQUESTS"]), S3.delete_versions

def delete(self, bucket, exact):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return plain(self, bucket, exact)

S3.delete_versions = delete
from rwm.cli.main import main
sys.argv[0] = "rwm"
sys.exit(main())
"""


@pytest.fixture
def shell(server: Server, tmp_path: Path) -> Shell:
    shell = Shell(tmp_path)
    shell.configure(
        "admin.conf", server.endpoint, server.accounts["admin"], {"index_path": str(tmp_path / "index.sqlite")}
    )
    return shell


def check_safe(s3: S3, index: Index, history: History, shown: dict[str, str]) -> None:
    """What was current is current, nothing looks like an attack, and the kept state has all its versions."""
    assert present(s3, history.bucket) == shown
    assert audit_location(s3, Location(history.bucket)).proofs == 0
    left = {(version.key, version.version_id) for version in everything(s3, history.bucket)}
    assert {(entry.key, entry.version_id) for entry in index.entries(history.states[2])} <= left


def mount_command(bucket: str, state: str) -> tuple[str, ...]:
    return ("rwmfs", "-c", "admin.conf", "mount", bucket, "--at", state, "mount")


@pytest.mark.parametrize(
    ("is_stored", "killed_after"),  # requests of six deletions that each run sends
    [
        pytest.param(False, (0, 1, 1, 1, 1000), id="planned-anew", marks=pytest.mark.slow),
        pytest.param(True, (1, 2, 1000), id="stored-plan"),
    ],
)
def test_a_killed_prune_is_finished_by_the_same_command(
    s3: S3, index: Index, history: History, shell: Shell, tmp_path: Path, is_stored: bool, killed_after: tuple[int, ...]
) -> None:
    shown = present(s3, history.bucket)
    before = files(s3, index, history.states[2], tmp_path / "before")
    plan = prune.plan_prune(s3, index, Location(history.bucket), [history.states[2]])
    planned = {(item.key, item.version_id) for item in (*plan.versions, *plan.markers)}
    arguments = ["-c", "admin.conf", "prune", history.bucket, "--keep-state", history.states[2].id]
    if is_stored:
        shell("rwm", *arguments, "--plan-out", "plan")
        arguments[-2:] = ["--plan", "plan"]
    for requests in killed_after:
        done = shell("test-program", CHILD, *arguments, "--yes", code=None, REQUESTS=str(requests))
        check_safe(s3, index, history, shown)
        assert done.returncode == (0 if requests == killed_after[-1] else -signal.SIGKILL), done.stderr
    left = {(version.key, version.version_id) for version in everything(s3, history.bucket)}
    evidence = {key.partition("/")[0] for key, _ in planned & left}
    assert evidence <= {"locks", "index", "keys"}
    check_safe(s3, index, history, shown)
    assert files(s3, index, history.states[2], tmp_path / "after") == before
    assert index.states(Location(history.bucket)) == [history.states[2]]
    log = shell.json("rwm", "-c", "admin.conf", "prune", history.bucket, "--log")
    assert {report["ended_at"] is None for report in log} == {True, False}
    shell("rwm", "-c", "admin.conf", "state", "verify", history.states[2].id)
    dropped = history.states[0].id
    (tmp_path / "mount").mkdir()
    for command in (("rwm", "-c", "admin.conf", "state", "verify", dropped), mount_command(history.bucket, dropped)):
        assert f"state {dropped[:12]}" in (said := shell(*command, code=1).stderr) and "was pruned on" in said
