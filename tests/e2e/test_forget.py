"""``rwm forget`` with restic on real servers: the admin removes snapshots of a machine, which then backs up again."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import restics
from tests.e2e.cli import BIN
from tests.e2e.test_verify import SECONDS, Place
from tests.servers import Server

ADMIN = ("rwm", "-c", "admin.conf")


def use(place: Place, program: str) -> None:
    """Have every command find this restic first."""
    directory = place.shell.directory / "restic"
    directory.mkdir()
    (directory / "restic").symlink_to(Path(restics.program(program)).resolve())
    place.shell.environment["PATH"] = f"{directory}:{place.shell.environment['PATH']}"


def snapshots(place: Place) -> dict[str, int]:
    """The current snapshot files, each with the time of its upload."""
    listed = place.server.connect("admin").versions(place.bucket, f"{place.prefix}snapshots/")
    return {one.key.rpartition("/")[2]: one.last_modified for one in listed if one.is_latest and not one.is_marker}


def configure(place: Place, name: str, **values: object) -> None:
    settings = {**place.settings, "restic_extras": ["--retry-lock=1s"], **values}
    if restics.version(place.shell("sh", "-c", "command -v restic").stdout.strip()) < (0, 16):
        del settings["restic_extras"]
    place.shell.configure(name, place.server.endpoint, place.server.accounts["admin"], settings)


@contextmanager
def running_backup(place: Place) -> Iterator[None]:
    """A backup that holds its lock during the block, because its input does not end."""
    command, s3 = [str(BIN / "rwm"), "restic", "backup", "--stdin"], place.server.connect("admin")
    backup = subprocess.Popen(
        command, env=place.shell.environment, cwd=place.shell.directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        deadline = time.monotonic() + SECONDS
        while not s3.client.list_objects_v2(Bucket=place.bucket, Prefix=f"{place.prefix}locks/")["KeyCount"]:
            assert time.monotonic() < deadline and backup.poll() is None
            time.sleep(0.05)
        yield
    finally:
        backup.kill()
        backup.communicate()


@pytest.mark.parametrize(
    ("server", "program"),
    [
        ("seaweedfs", "restic-debian"),
        pytest.param("rgw", "restic-current", marks=pytest.mark.slow),
    ],
    indirect=["server"],
)
def test_the_admin_removes_snapshots_of_a_strict_machine(server: Server, program: str, tmp_path: Path) -> None:
    place = Place(server, tmp_path, "/host1")
    use(place, program)
    place.shell(*ADMIN, "storage", "grant", place.bucket, "user1", "--strict")
    rules = {"retention": {"keep-last": "1"}}
    place.shell.configure("rwm.conf", server.endpoint, server.accounts["user1"], {**place.settings, **rules})
    shell, source = place.shell, str(tmp_path / "files")
    for year in (2001, 2099):  # times that the machine chose
        (tmp_path / "files" / "0").write_bytes(str(year).encode() * 100_000)
        shell("rwm", "restic", "backup", "--time", f"{year}-01-02 03:04:05", source)
    time.sleep(1.1)  # a snapshot of the next second is surely younger
    shell("rwm", "backup", "--all")
    uploads = snapshots(place)
    oldest_first = sorted(uploads, key=lambda name: uploads[name])
    configure(place, "admin.conf", **rules)
    assert len(uploads) == 4, "a strict machine removes none, whatever its retention"
    planned = shell.json(*ADMIN, "forget", place.location, "--dry-run")
    assert planned["remove"] == [name for name in oldest_first if name in planned["remove"]] == oldest_first[:-1]
    assert snapshots(place) == uploads
    done = shell.json(*ADMIN, "forget", place.location, "--yes")
    assert (done["removed"], done["left"], done["pruned"], done["errors"]) == (oldest_first[:-1], [], True, [])
    assert list(snapshots(place)) == oldest_first[-1:]
    assert shell.json(*ADMIN, "state", "list", place.location)[-1]["id"] == done["state"]
    shell.json(*ADMIN, "state", "sync", place.location)
    report = shell.json(*ADMIN, "audit", place.location)
    assert report["findings"] == [], "what the admin did with restic is honest"
    assert report["last_clean"] == done["state"]
    shell("rwm", "backup", "--all")  # the machine reads what the admin's prune wrote
    shell("rwm", "restic", "check", "--read-data")


@pytest.mark.slow
def test_a_lock_a_wrong_password_and_a_missing_repository(seaweedfs: Server, tmp_path: Path) -> None:
    place = Place(seaweedfs, tmp_path)
    configure(place, "admin.conf", retention={"keep-last": "1"})
    configure(place, "wrong.conf", retention={"keep-last": "1"}, restic_password="wrong")
    place.shell("rwm", "backup", "--all")
    refused = place.shell("rwm", "-c", "wrong.conf", "forget", place.bucket, "--yes", code=1)
    assert "the configured password opens no key of the repository" in refused.stderr
    missing = place.shell(*ADMIN, "forget", f"{place.bucket}/nothing", "--yes", code=1)
    assert "has no restic repository" in missing.stderr
    with running_backup(place):
        locked = place.shell(*ADMIN, "forget", place.bucket, "--yes", code=7)
    assert "the repository is locked by another run" in locked.stderr
    assert len(snapshots(place)) == 2
