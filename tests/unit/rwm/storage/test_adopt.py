"""Adoption: what is planned, said and refused; an interruption at any write; writers at the time of a pin."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rwm.errors import NotFound, Refused, UsageError
from rwm.index import Index
from rwm.location import Location
from rwm.s3.objects import CurrentObject
from rwm.storage import (
    NO_RIGHTS,
    AdoptionPlan,
    Past,
    apply_adoption,
    check_storage,
    describe_unknown,
    is_adopted,
    plan_adoption,
)
from rwm.storage.policy_probe import probe_policy
from tests.unit.rwm.storage.policies import ADMIN, BUCKET, ON_BUCKET, USER, good
from tests.unit.rwm.storage.test_create import PolicyS3

KEYS = ("config", "data/00/a", "data/00/b", "keys/a", "locks/a")
LIMIT = 10


class Killed(BaseException):
    """The process ends here; nothing of it runs any more."""


class OldBucket(PolicyS3):
    """A bucket without versioning. ``writes_left`` limits the writes; ``at_copy`` runs at each copy."""

    def __init__(self) -> None:
        super().__init__()
        self.create_bucket(BUCKET)
        self.bodies["null"] = b"1"
        for key in KEYS:
            self.put(BUCKET, key, b"1")
        history = self.buckets[BUCKET]
        for key in KEYS:
            size = 100 if key == "data/00/b" else 1
            history[key] = [entry._replace(version_id="null", size=size, etag="one") for entry in history[key]]
        self.writes_left: int | None = None
        self.at_copy: Callable[[str], object] = lambda key: None

    def _write(self) -> None:
        if self.writes_left is not None:
            if not self.writes_left:
                raise Killed
            self.writes_left -= 1

    def put_policy(self, *arguments: Any) -> None:
        self._write()
        super().put_policy(*arguments)

    def delete_policy(self, *arguments: Any) -> None:
        self._write()
        super().delete_policy(*arguments)

    def enable_versioning(self, *arguments: Any) -> None:
        self._write()
        super().enable_versioning(*arguments)

    def upload(self, *arguments: Any) -> None:
        self._write()
        super().upload(*arguments)

    def copy(self, source: str, key: str, *arguments: Any, **options: Any) -> None:
        self._write()
        self.at_copy(key)
        super().copy(source, key, *arguments, **options)
        first = self.buckets[BUCKET][key][0]
        self.buckets[BUCKET][key][0] = first._replace(etag="one")

    def current_objects(self, bucket: str, prefix: str) -> Iterator[CurrentObject]:
        return (CurrentObject(key, 1, "admin") for key in self.current_keys(bucket, prefix))


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> OldBucket:
    monkeypatch.setattr("rwm.storage.policy_write._SETTLE_SECONDS", 0)
    return OldBucket()


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with Index.open(tmp_path / "index.sqlite") as index:
        yield index


def plan(s3: OldBucket, *users: str) -> AdoptionPlan:
    return plan_adoption(s3, BUCKET, users or ["user1"], NO_RIGHTS, LIMIT)


def test_the_plan_counts_what_is_there_and_changes_nothing(s3: OldBucket) -> None:
    s3.writes_left = 0
    found = plan(s3)
    assert [step.setting for step in found.steps] == ["versioning", "policy"]
    assert found.owners == {"": "admin"}
    past = found.past
    assert (past.objects, past.null, past.small, past.large, past.large_keys) == (5, 5, 3, 1, ["data/00/b"])
    assert found.notes == []


def test_the_plan_names_repositories_that_nobody_reaches(s3: OldBucket) -> None:
    assert "no user reaches the repository at the root of the bucket" in plan(s3, "user1:host1").notes[0]
    s3.buckets[BUCKET] = {}
    assert plan(s3).notes == ["no restic repository is found in the bucket"]


def test_an_adopted_bucket_is_protected_and_needs_nothing(s3: OldBucket, index: Index) -> None:
    pinned = apply_adoption(s3, index, plan(s3), pin=True)
    assert (pinned.objects, pinned.bytes, pinned.failed) == (3, 3, [])
    assert s3.policies[BUCKET] == good()
    assert check_storage(s3, BUCKET) == []
    again = plan(s3)
    assert again.steps == []
    assert not is_adopted(index, again, pin=True), "no state is captured yet"


def test_an_interruption_at_any_write_leaves_nothing_undone(s3: OldBucket, index: Index) -> None:
    for writes in itertools.count():
        s3.writes_left = writes
        try:
            apply_adoption(s3, index, plan(s3), pin=True)
            break
        except Killed:
            continue
    assert writes > 4
    assert s3.policies[BUCKET] == good()
    changes = [own.change for own in index.operations.changes(Location(BUCKET))]
    assert sorted(each.key for each in changes) == ["config", "data/00/a", "keys/a"]
    assert all(each.did == "copied" and each.source == "null" for each in changes)
    assert {(each.key, each.version_id) for each in changes} == {
        (entry.key, entry.version_id)
        for entry in s3.versions(BUCKET)
        if entry.key in KEYS and entry.version_id != "null"
    }


@pytest.mark.parametrize("writer", ["put", "delete"])
def test_what_is_written_at_the_time_of_a_pin_stays_current(s3: OldBucket, index: Index, writer: str) -> None:
    def write(key: str) -> None:
        if key != "keys/a":
            return
        if writer == "put":
            s3.put(BUCKET, key, b"new")
        else:
            s3.delete(BUCKET, key)

    s3.at_copy = write
    assert apply_adoption(s3, index, plan(s3), pin=True).objects == 2
    latest = s3.buckets[BUCKET]["keys/a"][0]
    assert (latest.is_marker, latest.size) == ((False, 3) if writer == "put" else (True, 0))
    assert [entry.version_id for entry in s3.buckets[BUCKET]["keys/a"]][1:] == ["null"]


def test_a_leftover_probe_is_removed_and_another_policy_stays(s3: OldBucket) -> None:
    mine = {"Sid": "Mine", "Effect": "Allow", "Principal": {"AWS": [USER]}, "Action": ["s3:*"], "Resource": [ON_BUCKET]}
    probe = probe_policy(BUCKET, ADMIN)
    s3.policies[BUCKET] = {**probe, "Statement": [mine, *probe["Statement"]]}
    assert "- Mine: Allow s3:*" in plan(s3).steps[1].detail
    assert s3.policies[BUCKET]["Statement"] == [mine]


@pytest.mark.parametrize(
    ("users", "error", "message"),
    [
        (["user1:data"], UsageError, "is a directory of the repository"),
        (["user1:a", "user2:a/b"], UsageError, "would reach the same objects"),
        (["admin"], Refused, "is the admin account itself"),
        (["user9"], Refused, "the server has no account user9"),
    ],
)
def test_what_cannot_be_meant_is_refused(s3: OldBucket, users: list[str], error: type[Exception], message: str) -> None:
    s3.unknown_accounts = {"user9"}
    with pytest.raises(error, match=message):
        plan(s3, *users)


def test_buckets_that_cannot_be_adopted_are_refused(s3: OldBucket) -> None:
    with pytest.raises(NotFound, match="bucket nothing does not exist"):
        plan_adoption(s3, "nothing", ["user1"], NO_RIGHTS, LIMIT)
    s3.owner = "user1"
    with pytest.raises(Refused, match="belongs to user1, not to this one"):
        plan(s3)
    s3.owner = "admin"
    s3.policies[BUCKET] = good()
    with pytest.raises(Refused, match=f"is protected already, for {USER} "):
        plan(s3, "user2")
    s3.policies[BUCKET]["Statement"].append(
        {"Sid": "RwmFrozenAll", "Effect": "Deny", "Principal": {"AWS": [USER]}, "Action": "s3:*", "Resource": ADMIN}
    )
    with pytest.raises(Refused, match="is frozen"):
        plan(s3)


@pytest.mark.parametrize(
    ("versioning", "words"), [("off", "no versioning"), ("Suspended", "suspended"), ("Enabled", "nothing tells")]
)
def test_what_cannot_be_known_is_said(versioning: str, words: str) -> None:
    first, *rest = describe_unknown(Past(versioning, LIMIT, objects=5))
    assert words in first
    assert len(rest) == 1
    assert "2 of 5 objects have no version id" in describe_unknown(Past(versioning, LIMIT, objects=5, null=2))[1]
