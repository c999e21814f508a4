"""The documented recovery, typed on a fresh computer that has only the admin's keys and the restic password."""

from __future__ import annotations

import re
import shlex
import shutil
import uuid
from pathlib import Path

import pytest

from tests import ROOT, restics
from tests.e2e.cli import Shell
from tests.servers import Server

PASSWORD = "correct-horse-battery-staple"


@pytest.fixture
def fresh(server: Server, tmp_path: Path) -> Shell:
    """The computer on which somebody recovers."""
    (tmp_path / "fresh").mkdir()
    shell = Shell(tmp_path / "fresh", RESTIC_PASSWORD=PASSWORD)
    shell.configure("admin.conf", server.endpoint, server.accounts["admin"])
    return shell


@pytest.fixture(scope="module")
def attacked() -> dict[str, str]:
    """Attacked bucket by server."""
    return {}


@pytest.fixture
def bucket(server: Server, attacked: dict[str, str], tmp_path: Path) -> str:
    """A bucket with two backups and an attack. No test changes it, so there is one on each server."""
    if server.name not in attacked:
        attacked[server.name] = back_up_and_attack(server, tmp_path)
    return attacked[server.name]


def back_up_and_attack(server: Server, directory: Path) -> str:
    """Make two backups, the second by a newer restic, and attack the bucket with the machine's keys."""
    name = f"recovery-{uuid.uuid4().hex[:12]}"
    (directory / "office").mkdir()
    office = Shell(directory / "office")
    office.configure("admin.conf", server.endpoint, server.accounts["admin"])
    office("rwm", "-c", "admin.conf", "storage", "create", name, "user1")
    (directory / "machine" / "files").mkdir(parents=True)
    machine = Shell(directory / "machine")
    backups = {"files": {"filesdirs": [str(machine.directory / "files")]}}
    more = {"restic_bucket": name, "restic_password": PASSWORD, "backups": backups}
    machine.configure("rwm.conf", server.endpoint, server.accounts["user1"], more)
    machine("rwm", "restic", "init")
    for number, restic in enumerate(restics.PROGRAMS):
        path = first_on_path(restics.program(restic), machine, directory / f"machine-{restic}")
        (machine.directory / "files" / f"{number}.txt").write_text(f"worth keeping {number}\n")
        machine("rwm", "backup", "--all", PATH=path)
    # Garbage over a state file, in place of one, and over the configuration of restic; then everything deleted.
    user = server.connect("user1")
    file = next(version.key for version in user.versions(name, "rwm/states/"))
    forged = f"rwm/states/2027-01-01T00:00:00Z-{'0' * 64}.jsonl.gz"
    for key in (file, forged, "config"):
        user.put(name, key, b"garbage")
    for key in {version.key for version in user.versions(name)}:
        user.delete(name, key)
    return name


def first_on_path(restic: str, shell: Shell, directory: Path) -> str:
    """A PATH on which ``restic`` is this one."""
    directory.mkdir()
    (directory / "restic").symlink_to(restic)
    return f"{directory}:{shell.environment['PATH']}"


def shell_lines(text: str) -> list[str]:
    """The lines of the shell blocks of a text."""
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    return [line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines() if line.strip()]


def readme_commands() -> list[str]:
    """The three commands of README's recovery."""
    text = (ROOT / "README.md").read_text()
    return shell_lines(text[text.index("## Recovery in a hurry") : text.index("## Commands")])


def local_line(text: str, bucket: str) -> str:
    """A documented command line, with this test's bucket and directories."""
    return text.replace("bucket1", bucket).replace("/mnt/repo", "repo").replace("/restore", "restored")


def expect_restored(directory: Path) -> None:
    """Check the content of a restore, and remove it."""
    found = {path.name: path.read_text() for path in directory.rglob("*.txt")}
    assert found == {"0.txt": "worth keeping 0\n", "1.txt": "worth keeping 1\n"}
    shutil.rmtree(directory)


def test_recovery_document_has_the_commands_that_are_typed_here() -> None:
    lines = shell_lines((ROOT / "docs" / "recovery.md").read_text())
    for line in (
        "rwm -c admin.conf state sync bucket1",
        "rwm -c admin.conf state list bucket1",
        "rwmfs -c admin.conf mount bucket1 --at 3455a41a00bb /mnt/repo",
        "restic -r /mnt/repo snapshots",
        "restic -r /mnt/repo check",
        "restic -r /mnt/repo restore latest --target /restore",
        "rwmfs umount /mnt/repo",
    ):
        assert line in lines
    assert lines.index("rwm -c admin.conf state sync bucket1") < lines.index("rwm -c admin.conf state list bucket1")


def test_recovery_with_nothing_but_keys(fresh: Shell, bucket: str, tmp_path: Path) -> None:
    def line(text: str, code: int = 0, **variables: str) -> str:
        done = fresh(*shlex.split(local_line(text, bucket)), code=code, **variables)
        return done.stdout + done.stderr

    assert not (fresh.directory / "index").exists()
    said = line("rwm -c admin.conf state sync bucket1", code=4)
    assert "2 verified" in said
    assert "rejected rwm/states/2027-01-01T00:00:00Z-0000" in said
    line("rwm -c admin.conf state list bucket1")
    states = fresh.json("rwm", "-c", "admin.conf", "state", "list", bucket)
    assert [(state["origin"], state["trust"]) for state in states] == [("backup", "verified")] * 2
    (fresh.directory / "repo").mkdir()
    mounted = line(f"rwmfs -c admin.conf mount bucket1 --at {states[-1]['id'][:12]} /mnt/repo")
    assert "warning" not in mounted
    try:
        for name in restics.PROGRAMS:
            path = first_on_path(restics.program(name), fresh, tmp_path / f"fresh-{name}")
            line("restic -r /mnt/repo snapshots", PATH=path)
            line("restic -r /mnt/repo check", PATH=path)
            line("restic -r /mnt/repo restore latest --target /restore", PATH=path)
            expect_restored(fresh.directory / "restored")
    finally:
        line("rwmfs umount /mnt/repo")


def test_recovery_by_the_three_commands_of_the_readme(fresh: Shell, bucket: str) -> None:
    repo = fresh.directory / "repo"
    repo.mkdir()
    # restic takes a relative path with a colon in it for the URL of a backend.
    lines = [line.replace("/mnt/repo", str(repo)) for line in readme_commands()]
    sync, mount, restore = (local_line(line, bucket) for line in lines)
    fresh(*shlex.split(sync), code=4)
    fresh(*shlex.split(mount))
    try:
        newest = max((repo / "times").iterdir())
        fresh(*shlex.split(re.sub(r"times/\S+", f"times/{newest.name}", restore)))
        expect_restored(fresh.directory / "restored")
    finally:
        fresh("rwmfs", "umount", "repo")


def test_without_any_state_file_the_history_is_enough(fresh: Shell, bucket: str) -> None:
    """The fallback: a time, and the bucket's own history."""
    state = fresh.json("rwm", "-c", "admin.conf", "state", "sync", bucket, code=4)["compared"][-1]
    rwm = ("rwm", "-c", "admin.conf", "state")
    fresh(*rwm, "forget", state["id"], "--yes")
    past = fresh.json(*rwm, "capture", bucket, "--at", state["captured_at"])
    assert (past["origin"], past["objects"], past["bytes"]) == ("past", state["objects"], state["bytes"])
    assert [state["trust"] for state in fresh.json(*rwm, "list")] == ["verified", "own"]
