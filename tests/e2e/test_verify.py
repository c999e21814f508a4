"""``rwm state verify`` on a repository of restic: every level, attacks, and how a mount ends in any case."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from rwmfs.mount.mountpoint import MOUNTINFO
from tests import repositories
from tests.contract.buckets import unique
from tests.e2e.cli import Shell
from tests.programs import Program
from tests.servers import Server

PASSWORD = "correct-horse-battery-staple"
SECONDS = 120.0


class Place:
    """A bucket with one backup, and the admin's computer, whose temporary files are below ``temporary``."""

    def __init__(self, server: Server, directory: Path, prefix: str = "") -> None:
        self.server = server
        self.bucket = unique("verify")
        self.location = self.bucket + prefix
        self.prefix = prefix and f"{prefix[1:]}/"
        self.temporary = directory / "tmp"
        self.temporary.mkdir()
        self.shell = Shell(directory, TMPDIR=str(self.temporary))
        (directory / "files").mkdir()
        for number in range(3):
            (directory / "files" / str(number)).write_bytes(os.urandom(300_000))
        backups = {"files": {"filesdirs": [str(directory / "files")]}}
        self.settings = {"restic_bucket": self.location, "restic_password": PASSWORD, "backups": backups}
        self.shell.configure("rwm.conf", server.endpoint, server.accounts["user1"], self.settings)
        self.shell.configure("admin.conf", server.endpoint, server.accounts["admin"], self.settings)
        self.shell("rwm", "-c", "admin.conf", "storage", "create", self.bucket, "user1")
        repositories.create_in(server.connect("user1"), self.location, PASSWORD)
        self.shell("rwm", "backup", "--all")

    def verify(self, *words: str, code: int = 0, config: str = "admin.conf", **variables: str) -> str:
        done = self.shell(
            "rwm", "-c", config, "state", "verify", "latest", "-b", self.location, *words, code=code, **variables
        )
        assert self.leftovers() == []
        return done.stdout + done.stderr

    def leftovers(self) -> list[str]:
        """What is still mounted or stored below the temporary directory."""
        mounts = [line.split()[4] for line in MOUNTINFO.read_text().splitlines() if str(self.temporary) in line]
        return mounts + [path.name for path in self.temporary.glob("rwm-verify-*")]

    def fake_restic(self, script: str) -> str:
        """The PATH with a restic that is this shell script."""
        directory = self.shell.directory / "bin"
        directory.mkdir(exist_ok=True)
        (directory / "restic").write_text(f"#!/bin/sh\n{script}\n")
        (directory / "restic").chmod(0o755)
        return f"{directory}:{self.shell.environment['PATH']}"


@pytest.mark.parametrize("server", ["seaweedfs", pytest.param("rgw", marks=pytest.mark.slow)], indirect=True)
def test_all_levels_before_and_after_an_attack(server: Server, tmp_path: Path) -> None:
    place = Place(server, tmp_path, "" if server.name == "rgw" else "/host1")
    place.verify()
    place.verify("--content")
    said = place.verify("--restic=100")
    assert "no errors were found" in said
    assert "restic check passes: 1 of 1 repository" in said
    before = place.shell.json("rwm", "-c", "admin.conf", "state", "list", place.location)[-1]
    assert before["faults"] == 0
    assert before["proved_bytes"] == before["provable_bytes"] > 900_000
    assert all(before[f"verified_{level}_at"] for level in ("structure", "content", "restic"))
    assert "content 100 %, restic" in place.shell("rwm", "-c", "admin.conf", "state", "list").stdout
    user = server.connect("user1")
    pack = max(user.versions(place.bucket, f"{place.prefix}data/"), key=lambda version: version.size)
    user.put(place.bucket, pack.key, os.urandom(pack.size))
    place.shell("rwm", "-c", "admin.conf", "state", "capture", place.location)
    place.verify()
    assert f"wrong {pack.key} (version " in place.verify("--content", code=4)
    user.delete(place.bucket, pack.key)
    place.shell("rwm", "-c", "admin.conf", "state", "capture", place.location)
    assert pack.key.rpartition("/")[2][:8] in place.verify("--restic", code=4)
    place.shell("rwm", "-c", "admin.conf", "state", "verify", before["id"], "--content")


@pytest.fixture
def place(seaweedfs: Server, tmp_path: Path) -> Place:
    return Place(seaweedfs, tmp_path)


def test_what_restic_cannot_tell(place: Place) -> None:
    wrong = {**place.settings, "restic_password": "wrong"}
    place.shell.configure("wrong.conf", place.server.endpoint, place.server.accounts["admin"], wrong)
    assert "opens no key of the repository" in place.verify("--restic", code=1, config="wrong.conf")
    crash = place.fake_restic("kill -9 $$")
    assert "restic was ended by signal 9" in place.verify("--restic", code=3, PATH=crash)
    lost = place.fake_restic('kill -9 $(pgrep -f -- "$2 --foreground") ; exit 1')
    assert "while the mount could not read" in place.verify("--restic", code=3, PATH=lost)
    assert "restic" not in place.shell("rwm", "-c", "admin.conf", "state", "list").stdout, "nothing is known"
    denied = {**place.settings, "s3_secret_key": "wrong"}
    place.shell.configure("denied.conf", place.server.endpoint, place.server.accounts["admin"], denied)
    place.verify("--restic", code=6, config="denied.conf")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_mount_ends_with_a_signal(place: Place, number: signal.Signals) -> None:
    started = place.shell.directory / "started"
    path = place.fake_restic(f'ls "$2" > {started}.new && mv {started}.new {started}; exec sleep 600')
    words = ["rwm", "-c", "admin.conf", "state", "verify", "latest", "-b", place.bucket, "--restic"]
    with (place.shell.directory / "output").open("wb") as output:
        program = Program(
            words,
            env={**place.shell.environment, "PATH": path},
            cwd=place.shell.directory,
            stdout=output,
            stderr=output,
        )
    try:
        deadline = time.monotonic() + SECONDS
        while not started.exists():
            assert time.monotonic() < deadline and program.poll() is None
            time.sleep(0.02)
        assert "config" in started.read_text().split()
        program.send_signal(number)
        assert program.wait(SECONDS) == 128 + number
    finally:
        program.kill()
    assert place.leftovers() == []
