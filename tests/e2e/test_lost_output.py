"""Lost output (a closed pipe, a full disk) does not stop a command."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from tests import repositories
from tests.e2e.cli import Shell
from tests.servers import Server

CLOSED, FULL = "{} 2>&1 | true; exit ${{PIPESTATUS[0]}}", "{} >/dev/full 2>/dev/full"


@pytest.fixture(scope="module")
def machine(seaweedfs: Server, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A machine with a protected bucket, two entries to back up and a trail of their hooks; and its admin."""
    directory = tmp_path_factory.mktemp("lost-output")
    shell = Shell(directory)
    bucket = f"lost-{uuid.uuid4().hex[:12]}"
    shell.environment["BUCKET"] = bucket
    shell.configure("admin.conf", seaweedfs.endpoint, seaweedfs.accounts["admin"])
    shell("rwm", "-c", "admin.conf", "storage", "create", bucket, "user1")
    for name in ("a", "b"):
        (directory / name).write_text(f"contents of {name}")
    more = {
        "restic_bucket": bucket,
        "restic_password": "right",
        "index_path": str(directory / "machine.sqlite"),
        "backups": {
            name: {
                "filesdirs": [str(directory / name)],
                "prerun": [f"echo prerun; echo prerun {name} >> trail"],
                "postrun": [f"echo postrun; echo postrun {name} $RWM_BACKUP_OUTCOME >> trail"],
            }
            for name in ("a", "b")
        },
    }
    shell.configure("rwm.conf", seaweedfs.endpoint, seaweedfs.accounts["user1"], more)
    repositories.create_in(seaweedfs.connect("user1"), bucket, "right")
    return shell


def test_every_command_goes_on_and_ends_with_3(machine: Shell, tmp_path: Path) -> None:
    """Each with one of the two: what becomes of the streams is one thing for all (``rwm.console.standard_streams``)."""
    bucket, trail = machine.environment["BUCKET"], machine.directory / "trail"
    before = len(machine.json("rwm", "state", "list", bucket))

    machine.line(CLOSED.format("rwm backup --all"), code=3)
    assert trail.read_text().splitlines() == ["prerun a", "postrun a ok", "prerun b", "postrun b ok"]
    assert len(machine.json("rwm", "state", "list", bucket)) == before + 1

    machine.line(FULL.format(f"rwm -c admin.conf state sync {bucket}"), code=3)
    states = machine.json("rwm", "-c", "admin.conf", "state", "list", bucket)
    assert states[-1]["trust"] == "verified"

    target = tmp_path / "restored"
    machine.line(CLOSED.format(f"rwm -c admin.conf state restore {states[-1]['id']} --to-dir {target}"), code=3)
    assert (target / "config").exists()

    machine.line(FULL.format(f"rwm -c admin.conf prune {bucket} --keep-last 1 --yes"), code=3)
    left = machine.json("rwm", "-c", "admin.conf", "prune", bucket, "--keep-last", "1", "--dry-run")
    assert (left["versions"], left["markers"]) == (0, 0)


def test_a_backup_whose_log_is_full_says_so_where_it_can(machine: Shell) -> None:
    done = machine.line("rwm backup a >/dev/full", code=3)
    assert done.stderr.splitlines()[-1] == "rwm: done, but a part of the output was lost: No space left on device"
