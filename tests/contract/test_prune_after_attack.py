"""Prune after an unnoticed attack, when the newest state is what the attacker left: the good state survives."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rwm import process, prune, retention
from rwm.index import Index
from rwm.location import Location
from rwm.model import StateInfo
from rwm.restore import StatePart, restore_to_directory
from rwm.s3 import S3
from rwm.states import capture_state
from rwm.storage import create_storage
from rwm.trust import audit_location
from tests import repositories
from tests.contract.buckets import next_second, unique
from tests.keeping import keep_last
from tests.servers import Server
from tests.tls import through_tls

WRITE_ORDER = ("config", "keys", "locks", "data", "index", "snapshots")
"""In which restic writes to its directories."""

Attack = Callable[[S3, str, list[str]], None]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a repository with three backups by restic, and of the lock of another one."""
    directory = tmp_path_factory.mktemp("repository")
    data, environment = directory / "data", {**os.environ, "RESTIC_PASSWORD": "x"}
    data.mkdir()

    def restic(*arguments: str) -> None:
        done = process.run(["restic", "-q", "-r", str(directory / "repo"), "--no-cache", *arguments], env=environment)
        assert done.returncode == 0, done.stderr

    repositories.create(directory / "repo", "x")
    for number in range(3):
        (data / "file").write_bytes(random.Random(number).randbytes(100_000))
        restic("backup", str(data))
    root = directory / "repo"
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def write_order(key: str) -> int:
    return WRITE_ORDER.index(key.partition("/")[0])


class Attacked:
    """A bucket with the repository, and a state of it from before the attack."""

    def __init__(self, server: Server, index: Index, repository: dict[str, bytes]) -> None:
        self.s3, self.index = server.connect(), index
        self.user = server.connect("user1")
        self.location = Location(unique("attacked"))
        create_storage(self.s3, self.location.bucket, "user1")
        self._allow_copies()
        self.keys = list(repository)
        self._upload(repository)
        self.good = self.capture()

    def _allow_copies(self) -> None:
        """Make the policy that of an earlier version, which refuses fewer attacks."""
        policy = self.s3.policy(self.location.bucket) or {}
        later = ("RwmUserCopyDenied", "RwmUserKmsKeyDenied", "RwmUserSseCDenied")
        statements = [each for each in policy["Statement"] if each["Sid"] not in later]
        self.s3.put_policy(self.location.bucket, {**policy, "Statement": statements})

    def _upload(self, repository: dict[str, bytes]) -> None:
        """Write all files as restic does, within a lock."""
        bucket, lock = self.location.bucket, f"locks/{'ab' * 32}"
        self.user.put(bucket, lock, bytes(140))
        for key in sorted(repository, key=write_order):
            self.user.put(bucket, key, repository[key])
        self.user.delete(bucket, lock)

    def capture(self) -> StateInfo:
        return capture_state(self.s3, self.index, self.location)

    def plan(self) -> prune.PrunePlan:
        """That of `rwm prune --keep-last 1`, if all states counted as clean."""
        keep = retention.select_kept_states(self.index, self.location, keep_last(1), [])
        return prune.plan_prune(self.s3, self.index, self.location, keep)

    def check_good_state(self, directory: Path) -> None:
        """Restic reads every byte of the state from before the attack."""
        assert self.good in self.index.states(self.location)
        result = restore_to_directory(self.s3, StatePart(self.index, self.good), directory)
        assert (result.failures, result.objects) == ([], self.good.objects)
        command = ["restic", "-q", "-r", str(directory), "--no-cache", "check", "--read-data"]
        done = process.run(command, env={**os.environ, "RESTIC_PASSWORD": "x"})
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def attacked(server: Server, tmp_path: Path, repository: dict[str, bytes]) -> Iterator[Attacked]:
    with Index.open(tmp_path / "index.sqlite") as index:
        yield Attacked(server, index, repository)


# --- attacks -----------------------------------------------------------------------------------------------


def of_kind(keys: list[str], *kinds: str) -> list[str]:
    return sorted(key for key in keys if key.startswith(kinds))


def delete_all(user: S3, bucket: str, keys: list[str]) -> None:
    for key in keys:
        user.delete(bucket, key)


def delete_config(user: S3, bucket: str, keys: list[str]) -> None:
    user.delete(bucket, "config")


def delete_half_of_the_packs(user: S3, bucket: str, keys: list[str]) -> None:
    for key in of_kind(keys, "data/")[::2]:
        user.delete(bucket, key)


def delete_all_indexes(user: S3, bucket: str, keys: list[str]) -> None:
    for key in of_kind(keys, "index/"):
        user.delete(bucket, key)


def delete_all_key_files(user: S3, bucket: str, keys: list[str]) -> None:
    for key in of_kind(keys, "keys/"):
        user.delete(bucket, key)


def overwrite_packs(user: S3, bucket: str, keys: list[str]) -> None:
    for key in of_kind(keys, "data/"):
        user.put(bucket, key, os.urandom(50))


def overwrite_with_the_same_size(user: S3, bucket: str, keys: list[str]) -> None:
    for key in keys:
        user.put(bucket, key, os.urandom(user.size(bucket, key)))


def truncate_keys_and_config(user: S3, bucket: str, keys: list[str]) -> None:
    for key in of_kind(keys, "keys/", "config"):
        user.put(bucket, key, user.get(bucket, key)[:-10])


def add_foreign_files(user: S3, bucket: str, keys: list[str]) -> None:
    user.put(bucket, "index/not-a-hash", b"junk")
    user.put(bucket, f"data/00/{'00' * 32}", b"")


def replace_by_multipart_uploads(user: S3, bucket: str, keys: list[str]) -> None:
    """Junk of the same size, with ETags that no other can be compared with."""
    for key in keys:
        upload: Any = {"Bucket": bucket, "Key": key}
        size = user.size(bucket, key)
        upload["UploadId"] = user.client.create_multipart_upload(**upload)["UploadId"]
        part = user.client.upload_part(**upload, PartNumber=1, Body=os.urandom(size))
        parts: Any = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        user.client.complete_multipart_upload(**upload, MultipartUpload=parts)


def encrypt_with_own_key(user: S3, bucket: str, keys: list[str]) -> None:
    """Each object copied onto itself (SSE-C): the same size, and on SeaweedFS the same ETag."""
    for key in keys:
        where: Any = {"Bucket": bucket, "Key": key, "CopySource": {"Bucket": bucket, "Key": key}}
        user.client.copy_object(
            **where, MetadataDirective="REPLACE", SSECustomerAlgorithm="AES256", SSECustomerKey="k" * 32
        )


def put_with_own_key(user: S3, bucket: str, keys: list[str]) -> None:
    """Each object written again as it is, encrypted (SSE-C), through a proxy with TLS."""
    through_tls(user)
    for key in keys:
        own_key: Any = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
        user.client.put_object(Bucket=bucket, Key=key, Body=user.get(bucket, key), **own_key)


REMOVALS = (delete_half_of_the_packs, delete_all_indexes, delete_all_key_files, delete_config)
FIRST_STAYS = (
    overwrite_packs,
    overwrite_with_the_same_size,
    truncate_keys_and_config,
    replace_by_multipart_uploads,
    encrypt_with_own_key,
    put_with_own_key,
)
SEAWEEDFS_ONLY = (encrypt_with_own_key,)
"""RGW copies without encrypting."""


def each_on_one_server(attacks: tuple[Attack, ...]) -> pytest.MarkDecorator:
    """Each attack on one server in turn; on the other one, where it works, in `make test-all`."""
    cases = []
    for number, attack in enumerate(attacks):
        servers = ["seaweedfs"] if attack in SEAWEEDFS_ONLY else ["rgw", "seaweedfs"][:: 1 if number % 2 else -1]
        cases += [
            pytest.param(attack, name, id=f"{attack.__name__}-{name}", marks=[pytest.mark.slow] * (place > 0))
            for place, name in enumerate(servers)
        ]
    return pytest.mark.parametrize(("attack", "server"), cases, indirect=["server"])


# --- what prune does ---------------------------------------------------------------------------------------


def attack_and_plan(attacked: Attacked, attack: Attack) -> prune.PrunePlan:
    bucket = attacked.location.bucket
    plan = attacked.plan()
    assert (plan.refused, plan.findings, plan.files_read) == ((), (), 5)
    next_second(attacked.s3, bucket)  # so that the state before the attack is not of its second
    attack(attacked.user, bucket, attacked.keys)
    attacked.capture()
    attacked.capture()  # time alone makes nothing better
    return attacked.plan()


@each_on_one_server((delete_all, *REMOVALS, add_foreign_files))
def test_a_prune_is_refused_even_if_forced_where_files_were_removed(
    attacked: Attacked, attack: Attack, tmp_path: Path
) -> None:
    plan = attack_and_plan(attacked, attack)
    assert plan.refused or plan.findings
    if attack is delete_all:
        assert "is empty" in plan.refused[0]
    else:
        assert "is suspect: " in plan.findings[0] or "is to be reviewed: late-removal" in plan.findings[0]
    if attack in REMOVALS:
        assert f"this would end the last clean state {attacked.good.id[:12]}" in plan.refused[0]
    if not plan.refused:
        prune.prune_and_forget(attacked.s3, attacked.index, plan)
    attacked.check_good_state(tmp_path / "restored")


@each_on_one_server(FIRST_STAYS)
def test_a_forced_prune_keeps_the_first_version_of_what_was_written_again(
    attacked: Attacked, attack: Attack, tmp_path: Path
) -> None:
    plan = attack_and_plan(attacked, attack)
    assert plan.findings and not plan.refused
    if attack in (encrypt_with_own_key, put_with_own_key):
        audit = audit_location(attacked.s3, attacked.location)
        assert audit.counts() == {"repeated-upload": len(attacked.keys)}  # the same sizes and ETags, a moment later
        assert len([finding for finding in plan.findings if "cannot be used" in finding]) == 5
    assert plan.first_versions > 0 and plan.lost_states == ()
    prune.prune_and_forget(attacked.s3, attacked.index, plan)
    attacked.check_good_state(tmp_path / "restored")


@pytest.mark.parametrize("server", ["seaweedfs"], indirect=True)
def test_a_proof_after_the_newest_state_refuses(attacked: Attacked, tmp_path: Path) -> None:
    attacked.user.delete(attacked.location.bucket, "config")
    next_second(attacked.s3, attacked.location.bucket)
    plan = attacked.plan()
    (finding,) = plan.findings
    assert "is younger than the newest clean state kept" in finding
    prune.prune_and_forget(attacked.s3, attacked.index, plan)  # as with --force
    attacked.check_good_state(tmp_path / "restored")
