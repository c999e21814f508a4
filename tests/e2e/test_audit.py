"""``rwm audit --bisect`` and ``--snapshots`` on a repository of restic, with an index that is malformed."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

from tests import restics
from tests.e2e.test_verify import PASSWORD, SECONDS, Place
from tests.programs import Program
from tests.servers import Server

ADMIN = ("rwm", "-c", "admin.conf")


@pytest.fixture
def place(seaweedfs: Server, tmp_path: Path) -> Place:
    return Place(seaweedfs, tmp_path)


def capture(place: Place) -> str:
    found: str = place.shell.json(*ADMIN, "state", "capture", place.location)["id"]
    return found


def write_malformed_index(place: Place) -> None:
    """A file whose name is the hash of its content, and whose content restic cannot decrypt."""
    junk = os.urandom(500)
    place.server.connect("user1").put(place.bucket, f"index/{hashlib.sha256(junk).hexdigest()}", junk)


def test_bisect_goes_on_after_a_kill_and_finds_the_newest_state_that_passes(place: Place) -> None:
    shell = place.shell
    first = shell.json(*ADMIN, "state", "list", place.location)[0]["id"]
    states = [first, capture(place)]
    write_malformed_index(place)
    states += [capture(place), capture(place)]
    assert shell.json(*ADMIN, "audit", place.location)["findings"] == [], "no listing shows it"
    calls, started = shell.directory / "calls", shell.directory / "started"
    path = place.fake_restic(
        f"echo >> {calls}; [ $(wc -l < {calls}) != 2 ] || {{ touch {started}; exec sleep 600; }}\n"
        f'exec {restics.program("restic-debian")} "$@"'
    )
    with (shell.directory / "output").open("wb") as output:
        program = Program(
            [*ADMIN, "audit", place.location, "--bisect"],
            env={**shell.environment, "PATH": path},
            cwd=shell.directory,
            stdout=output,
            stderr=output,
        )
    try:
        deadline = time.monotonic() + SECONDS
        while not started.exists():
            assert time.monotonic() < deadline and program.poll() is None, (shell.directory / "output").read_text()
            time.sleep(0.02)
    finally:
        program.kill()
    program.wait(SECONDS)
    found = shell.json(*ADMIN, "audit", place.location, "--bisect", code=4)
    assert found["newest_passing"]["id"] == states[1]
    assert found["oldest_failing"]["id"] == states[2]
    outcomes = [(check["id"], check["outcome"], check["recorded"]) for check in found["checks"]]
    assert outcomes[0] == (states[3], "failed", True), "the killed run had checked it"
    assert len(outcomes) <= 3
    found = shell.json(*ADMIN, "audit", place.location, "--bisect", code=4)
    assert all(check["recorded"] for check in found["checks"])


def test_what_bisect_cannot_tell(place: Place) -> None:
    wrong = {**place.settings, "restic_password": "wrong"}
    place.shell.configure("wrong.conf", place.server.endpoint, place.server.accounts["admin"], wrong)
    done = place.shell("rwm", "-c", "wrong.conf", "audit", place.location, "--bisect", code=1)
    assert "opens no key of the repository" in done.stderr
    missing = place.shell.directory / "missing"
    missing.mkdir()
    (missing / "rwm").symlink_to(Path(place.shell.environment["PATH"].split(":")[0]) / "rwm")
    done = place.shell(*ADMIN, "audit", place.location, "--bisect", code=1, PATH=str(missing))
    assert "restic is not installed" in done.stderr


def test_snapshots_with_a_time_that_the_machine_chose(place: Place) -> None:
    shell = place.shell
    source = str(shell.directory / "files")
    shell("rwm", "restic", "backup", "--time", "2020-01-02 03:04:05", "--host", "other", source)
    capture(place)
    found = shell.json(*ADMIN, "audit", place.location, "--snapshots")
    assert [len(state["snapshots"]) for state in found["states"]] == [2, 1]
    hosts = {one["host"]: one for one in found["snapshots"]}
    assert hosts["other"]["paths"] == [source]
    assert hosts["other"]["time"].startswith("2020-01-0")
    (finding,) = found["findings"]
    assert (finding["code"], finding["key"]) == ("snapshot-time", f"snapshots/{hosts['other']['id']}")
    assert "years" in finding["detail"] or "days before the upload" in finding["detail"]
    assert "other" in shell(*ADMIN, "audit", place.location, "--snapshots").stdout
    assert place.leftovers() == []


def test_less_and_false_data_are_in_no_finding_and_the_earlier_state_is_whole(place: Place) -> None:
    """Root on the machine decides what is backed up from now on; the amount is as usual."""
    shell, files = place.shell, place.shell.directory / "files"
    (before,) = shell.json(*ADMIN, "state", "list", place.location)
    true = {path.name: path.read_bytes() for path in files.iterdir()}
    (files / "0").write_bytes(os.urandom(300_000))
    (files / "1").unlink()
    shell("rwm", "backup", "--all")
    found = shell.json(*ADMIN, "audit", place.location)
    assert (found["findings"], {state["verdict"] for state in found["states"]}) == ([], {"clean"})
    shell(*ADMIN, "state", "restore", before["id"], "--to-dir", "copy")
    restore = ("restic", "-r", "copy", "--no-cache", "restore", "latest", "--target", "restored")
    shell(*restore, RESTIC_PASSWORD=PASSWORD)
    restored = shell.directory / "restored" / files.relative_to("/")
    assert {path.name: path.read_bytes() for path in restored.iterdir()} == true
