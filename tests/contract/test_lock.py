"""Locks on the real servers: what is locked stays, and is only extended."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from rwm import lock, process, prune, retention
from rwm.errors import AccessDenied, NotFound
from rwm.index import Index
from rwm.location import Location
from rwm.model import LockMode, Retention, StateInfo
from rwm.restore import StatePart, restore_to_directory
from rwm.states import capture_state, list_state_files, sync_states
from rwm.storage import create_storage, own_locks
from rwm.times import DAY, SECOND
from rwm.trust import AuditSettings, add_lock_findings, audit_location, can_judge_locks
from tests import repositories
from tests.contract.buckets import next_second, unique
from tests.keeping import keep_last
from tests.servers import Server

ODD = "data/é b+%&?#"
KEYS = ("config", "keys/k1", "index/i1", "snapshots/s1", "data/00/p1", "data/01/p2", ODD)


class Locked:
    """A bucket with Object Lock, files that the machine wrote, and a state of them."""

    def __init__(self, server: Server, directory: Path) -> None:
        self.s3, self.user = server.connect(), server.connect("user1")
        self.location = Location(unique("lock"))
        self.s3.client.create_bucket(Bucket=self.location.bucket, ObjectLockEnabledForBucket=True)
        create_storage(self.s3, self.location.bucket, "user1")
        for key in KEYS:
            self.user.put(self.location.bucket, key, b"1")
        self.index = Index.open(directory / "index.sqlite")
        self.reader = Index.open(directory / "index.sqlite", readonly=True)
        self.info = capture_state(self.s3, self.index, self.location)
        self.now = self.s3.server_time(self.location.bucket)

    def lock(self, until: int, info: StateInfo | None = None, mode: LockMode = "governance") -> lock.LockResult:
        timing = lock.LockTiming(self.now, DAY, 10 * DAY)
        kept = {(info or self.info).id: until}
        plan = lock.LockPlan(self.reader, self.location, mode, timing, kept)
        return lock.set_locks(self.s3, self.index, plan)

    def found(self) -> dict[str, Retention | None]:
        """The retention of each version of the state, as the server has it."""
        bucket = self.location.bucket
        entries = self.index.entries(self.info)
        return {entry.key: self.s3.retention(bucket, entry.key, entry.version_id) for entry in entries}


@pytest.fixture
def locked(server: Server, tmp_path: Path) -> Iterator[Locked]:
    locked = Locked(server, tmp_path)
    yield locked
    locked.reader.close()
    locked.index.close()


def test_locked_versions_stay_and_locks_are_only_extended(locked: Locked, server: Server) -> None:
    s3, bucket, until = locked.s3, locked.location.bucket, locked.now + 5 * DAY
    result = locked.lock(until)
    assert (result.locked, result.longer, result.failures) == (len(KEYS), 0, [])
    first = locked.found()
    assert first.keys() == set(KEYS)
    for key, found in first.items():
        assert found is not None and until <= found.until <= until + 11 * DAY, key
        version = next(version for version in s3.versions(bucket, key) if version.key == key).version_id
        assert locked.index.retentions.of(bucket, key, version) == found
        assert [failure.code for failure in s3.delete_versions(bucket, [(key, version)])] == ["AccessDenied"]
        with pytest.raises(AccessDenied):
            s3.put_retention(bucket, key, version, Retention("governance", locked.now + DAY))
        with pytest.raises(AccessDenied):
            locked.user.put_retention(bucket, key, version, Retention("governance", until + 90 * DAY))
    assert locked.lock(until).locked == 0
    locked.user.delete(bucket, "data/00/p1")
    assert locked.lock(until + 30 * DAY).locked == len(KEYS)  # also what is deleted, as far as a state needs it
    for key, found in locked.found().items():
        before = first[key]
        assert found is not None and before is not None and found.until > before.until


def test_longer_locks_and_those_of_the_other_mode(locked: Locked) -> None:
    bucket = locked.location.bucket
    entries = {entry.key: entry.version_id for entry in locked.index.entries(locked.info)}
    far, soon = locked.now // SECOND * SECOND + 90 * DAY, locked.now // SECOND * SECOND + DAY
    locked.s3.put_retention(bucket, "config", entries["config"], Retention("governance", far))
    locked.s3.put_retention(bucket, "keys/k1", entries["keys/k1"], Retention("compliance", soon))
    locked.s3.delete_versions(bucket, [("index/i1", entries["index/i1"])])
    result = locked.lock(locked.now + 20 * DAY)
    assert (result.locked, result.longer, result.failed) == (len(KEYS) - 3, 2, 1)
    assert [(failure.key, failure.code) for failure in result.failures] == [("index/i1", "NoSuchKey")]
    config, key = (locked.s3.retention(bucket, name, entries[name]) for name in ("config", "keys/k1"))
    assert config == Retention("governance", far)
    assert key is not None and key.mode == "compliance" and key.until >= locked.now + 20 * DAY


def test_the_default_retention_and_what_has_none(locked: Locked) -> None:
    s3, bucket = locked.s3, locked.location.bucket
    assert s3.has_object_lock(bucket)
    assert s3.default_retention(bucket) is None
    assert set(locked.found().values()) == {None}
    s3.client.put_object_lock_configuration(
        Bucket=bucket,
        ObjectLockConfiguration={
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 3}},
        },
    )
    assert s3.default_retention(bucket) == ("governance", 3 * DAY)
    version = locked.user.put(bucket, "new", b"1")
    found = s3.retention(bucket, "new", version)
    assert found is not None and abs(found.until - locked.now - 3 * DAY) < 600 * SECOND


def test_a_bucket_without_object_lock(server: Server) -> None:
    s3, bucket = server.connect(), unique("unlocked")
    s3.create_bucket(bucket)
    s3.enable_versioning(bucket)
    assert not s3.has_object_lock(bucket)
    with pytest.raises(NotFound):
        s3.default_retention(bucket)


def test_locks_that_a_machine_sets_are_found_and_honest_ones_are_not(locked: Locked, server: Server) -> None:
    """Ceph RGW lets a machine lock what it writes, by headers of the PUT."""
    s3, bucket = locked.s3, locked.location.bucket

    def hints() -> set[tuple[str, str]]:
        assert can_judge_locks(s3, locked.location) and not can_judge_locks(locked.user, locked.location)
        found = audit_location(s3, locked.location, AuditSettings(samples_locks=True))
        add_lock_findings(s3, found, lock.LockRecords(locked.index, bucket, ()).of, is_recorded=True)
        return {(item.rule.code, item.key) for item in found.findings() if item.rule.code.endswith("-lock")}

    locked.lock(locked.now + 30 * DAY)
    assert hints() == set()
    until = datetime.fromtimestamp((locked.now + 3650 * DAY) // SECOND, UTC)
    junk: Any = {
        "Bucket": bucket,
        "Key": "data/02/junk",
        "Body": b"1",
        "ObjectLockMode": "GOVERNANCE",
        "ObjectLockRetainUntilDate": until,
    }
    if server.name == "seaweedfs":
        with pytest.raises(ClientError, match="AccessDenied"):
            locked.user.client.put_object(**junk)
    else:
        locked.user.client.put_object(**junk)
        assert hints() == {("foreign-lock", "data/02/junk")}


def test_the_file_and_the_record_of_a_locked_state_stay(locked: Locked, server: Server, tmp_path: Path) -> None:
    """So whoever has the admin's keys leaves what tells the state, and another computer knows its locks."""
    s3, bucket = locked.s3, locked.location.bucket
    until = locked.now + 900 * DAY
    plan = lock.plan_state_lock(locked.reader, locked.info, "governance", until, locked.now)
    own = lock.plan_own_locks(s3, locked.reader, plan)
    result = lock.lock_and_record(s3, locked.index, plan, own, plan.cost().due, is_one_state=True)
    assert (result.locked, result.failed, len(own)) == (len(KEYS) + 1, 0, 1)
    entries = [version for version in s3.versions(bucket, "rwm/") if not version.is_marker]
    s3.delete_versions(bucket, [(version.key, version.version_id) for version in entries])
    with Index.open(tmp_path / "other.sqlite") as other:
        unknown = lock.LockRecords(other, bucket, own_locks(s3, bucket)).unknown
        assert [(state.id, state.until) for state in unknown] == [(locked.info.id, until // SECOND * SECOND)]
        files = list_state_files(s3, locked.location)
        assert sync_states(s3, other, locked.location, files, files).recorded == [locked.info]
        found = audit_location(s3, locked.location, AuditSettings(samples_locks=True))
        records = lock.LockRecords(other, bucket, own_locks(s3, bucket))
        add_lock_findings(s3, found, records.of, is_recorded=False)
        assert [item.key for item in found.findings() if item.rule.code.endswith("-lock")] == []
        add_lock_findings(s3, found, lock.LockRecords(other, bucket, ()).of, is_recorded=False)
        assert {item.rule.code for item in found.findings()} >= {"foreign-lock"}


def test_a_lock_that_was_bypassed_is_found_and_set_again(locked: Locked) -> None:
    """With keys of an account that may bypass governance: a stolen admin key."""
    s3, bucket = locked.s3, locked.location.bucket
    until = locked.now + 30 * DAY
    locked.lock(until)
    entries = {entry.key: entry.version_id for entry in locked.index.entries(locked.info)}
    soon: Any = {"Mode": "GOVERNANCE", "RetainUntilDate": datetime.fromtimestamp(locked.now // SECOND + 3600, UTC)}
    s3.client.put_object_retention(
        Bucket=bucket, Key="config", VersionId=entries["config"], Retention=soon, BypassGovernanceRetention=True
    )
    found = audit_location(s3, locked.location, AuditSettings(samples_locks=True))
    add_lock_findings(s3, found, lock.LockRecords(locked.index, bucket, ()).of, is_recorded=True)
    assert [item.key for item in found.findings() if item.rule.code == "shortened-lock"] == ["config"]
    timing = lock.LockTiming(locked.now, DAY, 10 * DAY)
    plan = lock.LockPlan(locked.reader, locked.location, "governance", timing, {locked.info.id: until}, again=True)
    result = lock.set_locks(s3, locked.index, plan)
    assert (result.locked + result.longer, result.failed) == (len(KEYS), 0)
    again = s3.retention(bucket, "config", entries["config"])
    assert again is not None and again.until >= until


@pytest.mark.slow
def test_restic_works_on_locked_versions_and_prune_leaves_them(server: Server, tmp_path: Path) -> None:
    """A state that the rules do not keep any more stays complete as long as its lock lasts."""
    s3, location, data = server.connect(), Location(unique("locked")), tmp_path / "data"
    s3.client.create_bucket(Bucket=location.bucket, ObjectLockEnabledForBucket=True)
    create_storage(s3, location.bucket, "user1")
    environment = server.environment("user1") | {"RESTIC_PASSWORD": "x"}
    data.mkdir()

    def restic(*arguments: str) -> None:
        command = ["restic", "-q", "-r", f"s3:{server.endpoint}/{location.bucket}", *arguments]
        done = process.run(command, env=environment)
        assert done.returncode == 0, done.stderr

    def back_up(content: bytes) -> StateInfo:
        (data / "file").write_bytes(content)
        restic("backup", str(data))
        restic("forget", "--keep-last", "1", "--prune", "--max-unused", "0")
        restic("check")
        return capture_state(s3, index, location)

    with Index.open(tmp_path / "index.sqlite") as index, Index.open(index.path, readonly=True) as reader:
        repositories.create_in(server.connect("user1"), location.bucket, "x")
        states = [back_up(b"1" * 50_000)]
        timing = lock.LockTiming(s3.server_time(location.bucket), DAY, 10 * DAY)
        next_second(s3, location.bucket)
        plan = lock.plan_locks(reader, location, keep_last(1), "governance", timing, audit_location(s3, location))
        assert lock.set_locks(s3, index, plan).locked == states[0].objects == plan.cost().needed
        states += [back_up(b"2" * 50_000), back_up(b"3" * 50_000)]
        next_second(s3, location.bucket)
        audit = audit_location(s3, location)
        kept = retention.select_kept_states(index, location, keep_last(1), (), audit)
        assert kept == states[2:]
        pruned = prune.plan_prune(s3, index, location, kept, audit=audit)
        assert pruned.refused == () and pruned.locked > 0
        assert prune.prune_and_forget(s3, index, pruned).versions > 0
        assert index.states() == [states[0], states[2]]
        for info in index.states():
            result = restore_to_directory(s3, StatePart(index, info), tmp_path / info.id)
            assert (result.failures, result.objects) == ([], info.objects)
            restic_check = ["restic", "-q", "-r", str(tmp_path / info.id), "--no-cache", "check", "--read-data"]
            assert process.run(restic_check, env=environment).returncode == 0
