"""A live bucket is rolled back after an attack, and forward again, by the commands that a person types."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import pytest

from rwm import process
from rwm.index import Index
from rwm.location import Location
from rwm.s3 import S3
from tests import repositories, restics
from tests.contract.buckets import next_second, unique
from tests.e2e.cli import Shell
from tests.servers import Server

PASSWORD = "x"
FOREIGN = f"data/00/{'00' * 32}"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a repository with a backup by restic."""
    directory = tmp_path_factory.mktemp("repository")
    data, environment = directory / "data", {**os.environ, "RESTIC_PASSWORD": PASSWORD}
    data.mkdir()
    (data / "file").write_bytes(random.Random(1).randbytes(100_000))
    repositories.create(directory / "repo", PASSWORD)
    command = ["restic", "-q", "-r", str(directory / "repo"), "--no-cache", "backup", str(data)]
    done = process.run(command, env=environment)
    assert done.returncode == 0, done.stderr
    root = directory / "repo"
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def contents(s3: S3, bucket: str) -> dict[str, bytes]:
    """What a plain listing shows, without RWM's own objects."""
    keys = [key for key in s3.current_keys(bucket, "") if not key.startswith("rwm/")]
    return {key: s3.get(bucket, key) for key in keys}


def versions(s3: S3, bucket: str) -> set[tuple[str, str]]:
    """All versions without markers, and without RWM's own."""
    listed = (each for each in s3.versions(bucket) if not each.key.startswith("rwm/"))
    return {(each.key, each.version_id) for each in listed if not each.is_marker}


def recorded_copies(shell: Shell, bucket: str) -> set[tuple[str, str]]:
    with Index.open(shell.directory / "index" / "index.sqlite") as index:
        made = [change for _, change in index.operations.changes(Location(bucket))]
    return {(change.key, change.version_id) for change in made if change.did == "copied"}


def attack(user: S3, bucket: str, repository: dict[str, bytes]) -> None:
    """Delete, overwrite with the same size, overwrite and delete, and add."""
    packs = sorted(key for key in repository if key.startswith("data/"))
    user.delete(bucket, packs[0])
    user.put(bucket, packs[-1], os.urandom(len(repository[packs[-1]])))
    for key in repository:
        if key.startswith(("keys/", "config")):
            user.delete(bucket, key)
        elif key.startswith("index/"):
            user.put(bucket, key, b"junk")
            user.delete(bucket, key)
    user.put(bucket, FOREIGN, b"junk")
    user.put(bucket, f"locks/{'11' * 32}", b"junk")
    user.put(bucket, "other/ümlaut + &.txt", b"junk")


def run_restic(server: Server, bucket: str, *arguments: str, restic: str = "restic-debian", account: str) -> None:
    keys = server.accounts[account]
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": keys.access_key,
        "AWS_SECRET_ACCESS_KEY": keys.secret_key,
        "RESTIC_PASSWORD": PASSWORD,
    }
    command = [restics.program(restic), "-q", "-r", f"s3:{server.endpoint}/{bucket}", "--no-cache", *arguments]
    done = process.run(command, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("server", ["seaweedfs", pytest.param("rgw", marks=pytest.mark.slow)], indirect=True)
def test_a_bucket_is_rolled_back_and_forward_again(
    server: Server, tmp_path: Path, repository: dict[str, bytes]
) -> None:
    shell, s3, user, bucket = Shell(tmp_path), server.connect(), server.connect("user1"), unique("live")
    shell.configure("rwm.conf", server.endpoint, server.accounts["admin"])
    shell("rwm", "storage", "create", bucket, "user1")
    s3.put(bucket, f"locks/{'22' * 32}", b"stale")
    for key, body in repository.items():
        user.put(bucket, key, body)
    user.put(bucket, "other/ümlaut + &.txt", b"old")
    user.delete(bucket, "other/ümlaut + &.txt")
    good = contents(s3, bucket)
    state = shell.json("rwm", "state", "capture", bucket)["id"]
    next_second(s3, bucket)
    s3.delete(bucket, f"locks/{'22' * 32}")
    attack(user, bucket, repository)
    next_second(s3, bucket)
    bad, all_versions = contents(s3, bucket), versions(s3, bucket)

    refused = shell("rwm", "state", "restore", state, "--in-place", "--yes", code=5)
    assert "user1 may still write" in refused.stderr
    assert f"rwm storage freeze {bucket}" in refused.stderr
    shell("rwm", "storage", "freeze", bucket, "--user", "user1", "--note", "attacked")
    plan = shell.json("rwm", "state", "restore", state, "--in-place", "--dry-run")
    assert contents(s3, bucket) == bad
    done = shell.json("rwm", "state", "restore", state, "--in-place", "--yes")
    assert {name: done[name] for name in plan} == plan
    packs = sum(key.startswith("data/") for key in repository)
    removed = sum(key.startswith(("keys/", "config")) for key in repository) + 1
    copied = sum(key.startswith("index/") for key in repository) + (packs > 1)
    assert (done["copies"], done["markers_removed"], done["markers_put"], done["locks"]) == (copied, removed, 3, 1)
    assert (done["problems"], done["failures"], done["left"]) == ({}, [], 0)
    good.pop(f"locks/{'22' * 32}")
    assert contents(s3, bucket) == good
    assert versions(s3, bucket) >= all_versions
    assert recorded_copies(shell, bucket) == versions(s3, bucket) - all_versions
    newer = "restic-current" if server.name == "rgw" else "restic-debian"
    run_restic(server, bucket, "check", "--read-data", restic=newer, account="admin")

    again = shell.json("rwm", "state", "restore", state, "--in-place", "--yes")
    assert (again["copies"], again["markers_removed"], again["markers_put"], again["undo_file"]) == (0, 0, 0, None)
    audit = shell.json("rwm", "audit", bucket, code=4)
    verdicts = {each["id"]: each["verdict"] for each in audit["states"]}
    assert verdicts[done["captured"]] == "clean"
    other = Shell(tmp_path / "other")
    other.directory.mkdir()
    other.configure("rwm.conf", server.endpoint, server.accounts["admin"])
    assert [each["id"] for each in other.json("rwm", "audit", bucket, code=4)["findings"]] == [
        each["id"] for each in audit["findings"]
    ]

    undo = Path(done["undo_file"])
    assert undo.stat().st_mode & 0o777 == 0o600
    undone = shell.json("rwm", "state", "restore", "--undo", undo, "--yes")
    assert contents(s3, bucket) == bad
    shell("rwm", "state", "restore", "--undo", undone["undo_file"], "--yes")
    assert contents(s3, bucket) == good
    shell("rwm", "storage", "thaw", bucket)
    # The copies are the admin's: on Ceph RGW the machine has no rights as their writer.
    run_restic(server, bucket, "backup", str(tmp_path / "rwm.conf"), account="user1")
    run_restic(server, bucket, "forget", "--keep-last", "1", "--prune", account="user1")
    run_restic(server, bucket, "check", "--read-data", account="user1")


KILLED = """
import os, sys
from rwm.cli.main import main
from rwm.rollback import execute
from rwm.s3 import S3

execute.THREADS = 1  # or the server would still do what was asked by other threads
left, copy_back = int(sys.argv.pop(1)), S3.copy_back

def copy_then_die(*arguments):
    global left
    version = copy_back(*arguments)
    left -= 1
    if left <= 0:
        os.kill(os.getpid(), 9)
    return version

S3.copy_back = copy_then_die
main()
"""


def test_a_command_that_is_killed_goes_on_and_its_record_is_completed(seaweedfs: Server, tmp_path: Path) -> None:
    shell, s3, bucket = Shell(tmp_path), seaweedfs.connect(), unique("killed")
    shell.configure("rwm.conf", seaweedfs.endpoint, seaweedfs.accounts["admin"])
    shell("rwm", "storage", "create", bucket, "user1")
    keys = [f"data/{number:02x}/{number:064x}" for number in range(12)]
    for key in keys:
        s3.put(bucket, key, key.encode())
    s3.put(bucket, "deleted", b"good")
    good, state = contents(s3, bucket), shell.json("rwm", "state", "capture", bucket)["id"]
    next_second(s3, bucket)
    for key in [*keys, "added"]:
        s3.put(bucket, key, b"bad")
    s3.delete(bucket, "deleted")
    bad, before = contents(s3, bucket), versions(s3, bucket)
    command = ("state", "restore", state, "--in-place", "--yes", "--force")
    shell("test-program", KILLED, "5", *command, code=-9)
    assert contents(s3, bucket) not in (good, bad)
    (first,) = (tmp_path / "index" / "undo").iterdir()
    done = shell("rwm", *command)
    assert "roll-back of" in done.stderr
    assert contents(s3, bucket) == good
    assert recorded_copies(shell, bucket) == versions(s3, bucket) - before
    (second,) = set((tmp_path / "index" / "undo").iterdir()) - {first}
    for file in (second, first):
        shell("rwm", "state", "restore", "--undo", file, "--yes", "--force")
    assert contents(s3, bucket) == bad


IN_PARTS = """
import os, sys
from botocore.client import BaseClient
from rwm.cli.main import main
from rwm.restore import bucket
from rwm.rollback import interrupted, plan
from rwm.s3 import objects, part_copy, rollback

for module in (bucket, interrupted, plan, objects, part_copy, rollback):
    module.COPY_LIMIT = part_copy.COPY_PART = 5 << 20
is_killed, call = sys.argv.pop(1) == "kill", BaseClient._make_api_call

def call_then_die(self, operation, parameters):
    answer = call(self, operation, parameters)
    if operation == "UploadPartCopy" and is_killed:
        os.kill(os.getpid(), 9)
    return answer

BaseClient._make_api_call = call_then_die
main()
"""


@pytest.mark.parametrize("server", ["seaweedfs", pytest.param("rgw", marks=pytest.mark.slow)], indirect=True)
def test_a_copy_in_parts_that_is_killed_leaves_no_parts_after_the_next_run(server: Server, tmp_path: Path) -> None:
    shell, s3, user, bucket = Shell(tmp_path), server.connect(), server.connect("user1"), unique("parts")
    target, body = unique("target"), random.Random(1).randbytes(11 << 20)
    shell.configure("rwm.conf", server.endpoint, server.accounts["admin"])
    shell("rwm", "storage", "create", bucket, "user1")
    s3.client.put_object(Bucket=bucket, Key="data/large", Body=body, Metadata={"who": "me"})
    state = shell.json("rwm", "state", "capture", bucket)["id"]
    next_second(s3, bucket)
    s3.put(bucket, "data/large", b"bad")
    for key in ("data/large", "data/other"):
        user.client.create_multipart_upload(Bucket=bucket, Key=key)
    next_second(s3, bucket)
    foreign = [*s3.unfinished_uploads(bucket)]
    in_place = ("state", "restore", state, "--in-place", "--yes", "--force")
    to_bucket = ("state", "restore", state, "--to-bucket", target)
    for command, place in ((in_place, bucket), (to_bucket, target)):
        known = foreign if place == bucket else []
        shell(sys.executable, "-c", IN_PARTS, "kill", *command, code=-9)
        assert len([*s3.unfinished_uploads(place)]) == len(known) + 1
        shell(sys.executable, "-c", IN_PARTS, "go on", *command)
        assert [*s3.unfinished_uploads(place)] == known
        assert s3.get(place, "data/large") == body
        assert s3.client.head_object(Bucket=place, Key="data/large")["Metadata"] == {"who": "me"}
