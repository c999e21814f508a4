"""The documented recovery, typed on a fresh computer that has only the admin's keys and the restic password."""

from __future__ import annotations

import re
import shlex
import shutil
import uuid
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests import ROOT, repositories, restics
from tests.e2e.cli import Shell
from tests.servers import Server

# One worker makes the buckets of all.
pytestmark = pytest.mark.xdist_group("recovery")

PASSWORD = "correct-horse-battery-staple"
JUNK = b"x"


@pytest.fixture
def fresh(server: Server, tmp_path: Path) -> Shell:
    """The computer on which somebody recovers."""
    (tmp_path / "fresh").mkdir()
    shell = Shell(tmp_path / "fresh", RESTIC_PASSWORD=PASSWORD)
    shell.configure("admin.conf", server.endpoint, server.accounts["admin"])
    return shell


class Attacked(NamedTuple):
    """A bucket that was attacked, and the cache of a computer on which restic looked at it then."""

    bucket: str
    cache: Path


@pytest.fixture(scope="module")
def attacked() -> dict[str, Attacked]:
    """Attacked bucket by server."""
    return {}


@pytest.fixture
def bucket(server: Server, attacked: dict[str, Attacked], home: Path, tmp_path: Path) -> str:
    """A bucket with two backups and an attack, which restic has cached. No test changes it: one on each server."""
    if server.name not in attacked:
        bucket = back_up_and_attack(server, home, tmp_path)
        attacked[server.name] = Attacked(bucket, shutil.copytree(home / ".cache", tmp_path / "cache"))
    bucket, cache = attacked[server.name]
    shutil.rmtree(home / ".cache", ignore_errors=True)
    shutil.copytree(cache, home / ".cache")
    assert has_junk(home / ".cache" / "restic")
    return bucket


def back_up_and_attack(server: Server, home: Path, directory: Path) -> str:
    """Make two backups, the second by a newer restic, and attack the bucket with the machine's keys.

    Between overwriting and deleting, restic caches the overwritten bucket, by `rwm` and without.
    """
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
    repositories.create_in(server.connect("user1"), name, PASSWORD)
    for number, restic in enumerate(restics.PROGRAMS):
        path = first_on_path(restics.program(restic), machine, directory / f"machine-{restic}")
        (machine.directory / "files" / f"{number}.txt").write_text(f"worth keeping {number}\n")
        machine("rwm", "backup", "--all", PATH=path)
    # Garbage of the same length over all indexes and snapshots, which restic then caches.
    user = server.connect("user1")
    for version in list(user.versions(name)):
        if version.is_latest and version.key.startswith(("index/", "snapshots/")):
            user.put(name, version.key, JUNK * version.size)
    cache_the_attack(server, machine, more, home)
    # Garbage over a state file, in place of one, and over the configuration of restic; then everything deleted.
    file = next(version.key for version in user.versions(name, "rwm/states/"))
    forged = f"rwm/states/2027-01-01T00:00:00Z-{'0' * 64}.jsonl.gz"
    for key in (file, forged, "config"):
        user.put(name, key, b"garbage")
    for key in {version.key for version in user.versions(name)}:
        user.delete(name, key)
    return name


def cache_the_attack(server: Server, shell: Shell, settings: dict[str, Any], home: Path) -> None:
    """Make `rwm restic` and plain restic cache the snapshots that are in the bucket now."""
    shutil.rmtree(home / ".cache")  # restic has cached what it wrote
    admin = server.accounts["admin"]
    shell.configure("looking.conf", server.endpoint, admin, settings)
    shell("rwm", "-c", "looking.conf", "restic", "snapshots", code=None)
    assert has_junk(home / ".cache" / "rwm-restic")
    assert not (home / ".cache" / "restic").exists()
    variables = {
        "AWS_ACCESS_KEY_ID": admin.access_key,
        "AWS_SECRET_ACCESS_KEY": admin.secret_key,
        "RESTIC_PASSWORD": PASSWORD,
    }
    repository = f"s3:{server.endpoint}/{settings['restic_bucket']}"
    shell("restic", "-r", repository, "snapshots", code=None, **variables)


def has_junk(cache: Path) -> bool:
    """Whether a cache of restic has an overwritten snapshot."""
    return any(path.read_bytes().startswith(JUNK * 100) for path in cache.rglob("snapshots/*/*"))


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
    """The commands of README's recovery."""
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
        "rwm -c admin.conf recover bucket1 /mnt/repo",
        "rwm -c admin.conf state sync bucket1",
        "rwm -c admin.conf audit bucket1",
        "rwm -c admin.conf state list bucket1",
        "rwmfs -c admin.conf mount bucket1 --at 3455a41a00bb /mnt/repo",
        "restic -r /mnt/repo --no-cache snapshots --latest 1",
        "restic -r /mnt/repo --no-cache check",
        "restic -r /mnt/repo --no-cache restore latest --target /restore",
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
    assert f"look at it with: restic -r {fresh.directory / 'repo'} --no-cache snapshots" in mounted
    try:
        for name in restics.PROGRAMS:
            path = first_on_path(restics.program(name), fresh, tmp_path / f"fresh-{name}")
            line("restic -r /mnt/repo --no-cache snapshots --latest 1", PATH=path)
            line("restic -r /mnt/repo --no-cache check", PATH=path)
            line("restic -r /mnt/repo --no-cache restore latest --target /restore", PATH=path)
            expect_restored(fresh.directory / "restored")
    finally:
        line("rwmfs umount /mnt/repo")


def test_recovery_by_the_commands_of_the_readme(fresh: Shell, bucket: str) -> None:
    repo = fresh.directory / "repo"
    freeze, recover, restore = (local_line(line, bucket) for line in readme_commands())
    assert freeze == f"rwm -c admin.conf storage freeze {bucket}"  # other tests use the bucket
    said = fresh(*shlex.split(recover)).stdout
    try:
        assert "first at" in said
        assert f"restic -r {repo} --no-cache restore latest --target /restore" in said
        fresh(*shlex.split(restore))
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


def test_recover_takes_the_last_state_before_the_attack(fresh: Shell, bucket: str) -> None:
    """Two backups recorded a state each; false state files, junk and removals came later."""
    rwm = ("rwm", "-c", "admin.conf")
    done = fresh(*rwm, "recover", bucket)
    assert "not used: 1 state file of no state of it" in done.stderr
    states = fresh.json(*rwm, "state", "list", bucket)
    assert f"state {states[-1]['id'][:12]} of" in done.stdout
    assert "it is the newest clean one" in done.stdout
    assert f"  rwm -c admin.conf recover {bucket} /mnt/repo" in done.stdout
    assert {state["verdict"] for state in states} == {"clean"}
    assert fresh.json(*rwm, "state", "show", "last-clean", "-b", bucket)["id"] == states[-1]["id"]
    found = fresh.json(*rwm, "recover", bucket, "--to-dir", "copy")
    assert (found["state"]["id"], found["captured"], found["mountpoint"]) == (states[-1]["id"], False, None)
    (command,) = found["commands"]
    fresh(*shlex.split(local_line(command, bucket)))
    expect_restored(fresh.directory / "restored")


def test_an_older_state_needs_the_password_of_its_time(seaweedfs: Server, tmp_path: Path) -> None:
    machine, name = Shell(tmp_path), f"passwords-{uuid.uuid4().hex[:12]}"
    more = {"restic_bucket": name, "restic_password": "older"}
    machine.configure("rwm.conf", seaweedfs.endpoint, seaweedfs.accounts["admin"], more)
    machine("rwm", "storage", "create", name, "user1")
    machine("rwm", "restic", "init")
    older = machine.json("rwm", "state", "capture", name)["id"]
    (tmp_path / "new").write_text("newer")
    machine("rwm", "restic", "key", "passwd", "--new-password-file", "new")
    newer = machine.json("rwm", "state", "capture", name)["id"]
    repo = tmp_path / "repo"
    repo.mkdir()
    mounted = machine("rwmfs", "mount", name, repo).stdout
    assert "the restic password that was valid when the state was recorded" in mounted
    try:
        for state, right, wrong in ((older, "older", "newer"), (newer, "newer", "older")):
            command = ("restic", "-r", repo / "ids" / state, "--no-cache", "snapshots")
            machine(*command, RESTIC_PASSWORD=right)
            refused = machine(*command, code=None, RESTIC_PASSWORD=wrong)
            assert refused.returncode != 0
            assert "wrong password or no key found" in refused.stderr
    finally:
        machine("rwmfs", "umount", repo)


def test_a_stolen_password_opens_what_is_written_later_but_no_new_repository(tmp_path: Path) -> None:
    """The thief has a copy of all objects ever written; old key files are among them as versions."""
    owner, thief = Shell(tmp_path), Shell(tmp_path, RESTIC_PASSWORD="stolen")

    def restic(shell: Shell, repository: str, *words: str, code: int | None = 0, **variables: str) -> str:
        done = shell("restic", "-r", repository, "--no-cache", *words, code=code, **variables)
        assert code == 0 or done.returncode != 0
        return done.stdout + done.stderr

    restic(owner, "old", "init", RESTIC_PASSWORD="stolen")
    old_keys = list((tmp_path / "old" / "keys").iterdir())
    copies = {path.name: path.read_bytes() for path in old_keys}
    (tmp_path / "new").write_text("changed")
    restic(owner, "old", "key", "passwd", "--new-password-file", "new", RESTIC_PASSWORD="stolen")
    (tmp_path / "secret").write_text("written after the change")
    for repository in ("old", "another"):
        if repository == "another":
            restic(owner, repository, "init", RESTIC_PASSWORD="changed")
        restic(owner, repository, "backup", "secret", RESTIC_PASSWORD="changed")
        assert "wrong password or no key found" in restic(thief, repository, "snapshots", code=None)
        for name, content in copies.items():
            (tmp_path / repository / "keys" / name).write_bytes(content)
    assert restic(thief, "old", "dump", "latest", "/secret") == "written after the change"
    said = restic(thief, "another", "dump", "latest", "/secret", code=None)
    assert "ciphertext verification failed" in said and "written after" not in said
