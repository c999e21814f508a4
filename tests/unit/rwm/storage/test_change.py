"""Grant and revoke: one user of the policy changes, and a change by another program is noticed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rwm.errors import NotFound, Refused, RwmError, UsageError
from rwm.location import Location
from rwm.s3 import Policy
from rwm.storage import UserAccess, grant_access, revoke_access
from tests.unit.memory import MemoryS3
from tests.unit.rwm.storage.policies import BUCKET, SHARED, STRANGER, USER, good

THIRD = "arn:aws:iam:::user/user3"
HOST3 = Location(BUCKET, "host3/")


class RacingS3(MemoryS3):
    """Another program acts before the n-th read of the policy, and every write is recorded."""

    def __init__(self) -> None:
        super().__init__(BUCKET)
        self.owner = "admin"
        self.policies[BUCKET] = good(SHARED)
        self.actions: dict[int, Callable[[], object]] = {}
        self.reads = 0
        self.written: list[Policy] = []

    def policy(self, bucket: str) -> Policy | None:
        self.reads += 1
        self.actions.pop(self.reads, lambda: None)()
        return super().policy(bucket)

    def put_policy(self, bucket: str, policy: Policy) -> None:
        self.written.append(policy)
        super().put_policy(bucket, policy)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> RacingS3:
    monkeypatch.setattr("rwm.storage.policy_write._SETTLE_SECONDS", 0)
    monkeypatch.setattr("rwm.storage.policy_write._READ_SECONDS", 0)
    return RacingS3()


def test_a_grant_changes_one_user(s3: RacingS3) -> None:
    change = grant_access(s3, HOST3, "user3")
    assert s3.policies[BUCKET] == good([*SHARED, UserAccess(THIRD, "host3/")])
    assert change.before == SHARED
    assert change.after == [*SHARED, UserAccess(THIRD, "host3/")]
    assert "RwmPrefix3Objects" in [each["Sid"] for each in change.added]
    assert not grant_access(s3, HOST3, "user3"), "safe to repeat"
    assert len(s3.written) == 1


def test_a_revoked_user_is_denied(s3: RacingS3) -> None:
    assert revoke_access(s3, BUCKET, "user1")
    assert s3.policies[BUCKET] == good([*SHARED[1:], UserAccess(USER, revoked=True)])
    assert not revoke_access(s3, BUCKET, "user1"), "safe to repeat"
    assert revoke_access(s3, BUCKET, "user2", "old/host2/")
    assert s3.policies[BUCKET] == good([UserAccess(USER, revoked=True), UserAccess(STRANGER, "host2/")])


def test_a_dry_run_writes_nothing(s3: RacingS3) -> None:
    change = revoke_access(s3, BUCKET, "user1", dry_run=True)
    assert [each["Sid"] for each in change.added if each["Effect"] == "Deny" and each["Action"] == ["s3:*"]]
    assert change.removed
    assert not s3.written


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda s3: grant_access(s3, Location(BUCKET), "user3"), UsageError, "would reach the same objects"),
        (lambda s3: grant_access(s3, Location(BUCKET, "host1/x/"), "user3"), UsageError, "would reach the same"),
        (lambda s3: grant_access(s3, HOST3, "admin"), Refused, "is the admin account itself"),
        (lambda s3: grant_access(s3, HOST3, "t1$user3"), UsageError, "is not of the tenant"),
        (lambda s3: revoke_access(s3, BUCKET, "user3"), NotFound, "does not name"),
    ],
)
def test_a_refused_change_writes_nothing(
    s3: RacingS3, act: Callable[[RacingS3], object], error: type[RwmError], message: str
) -> None:
    with pytest.raises(error, match=message):
        act(s3)
    assert not s3.written


@pytest.mark.parametrize("policy", [None, {"Statement": []}, good([*SHARED, UserAccess(THIRD, "x/")])])
def test_a_policy_with_drift_is_not_changed(s3: RacingS3, policy: Policy | None) -> None:
    if policy is None:
        s3.delete_policy(BUCKET)
    else:
        policy["Statement"] = policy["Statement"][1:]
        s3.policies[BUCKET] = policy
    with pytest.raises(Refused, match="is not that of a protected bucket") as error:
        grant_access(s3, HOST3, "user3")
    assert error.value.hint == "`rwm storage check bucket1` lists all differences, and with --fix removes them"
    assert not s3.written


def test_an_overlap_can_be_revoked(s3: RacingS3) -> None:
    s3.policies[BUCKET] = good([UserAccess(USER), UserAccess(STRANGER)])
    with pytest.raises(UsageError, match="would reach the same objects"):
        grant_access(s3, Location(BUCKET), "user1")
    assert revoke_access(s3, BUCKET, "user2")
    assert s3.policies[BUCKET] == good([UserAccess(USER), UserAccess(STRANGER, revoked=True)])


def test_a_change_before_the_write_is_kept(s3: RacingS3) -> None:
    other = good([*SHARED, UserAccess(THIRD, "other/")])
    s3.actions[2] = lambda: s3.policies.update({BUCKET: other})
    with pytest.raises(Refused, match="was changed meanwhile"):
        grant_access(s3, HOST3, "user3")
    assert s3.policies[BUCKET] == other


@pytest.mark.parametrize("read", [3, 4])
def test_a_change_after_the_write_is_reported(s3: RacingS3, read: int) -> None:
    """Another program had read the policy before, and writes it later."""
    s3.actions[read] = lambda: s3.policies.update({BUCKET: good(SHARED)})
    with pytest.raises(RwmError, match="has another policy than the one that was written"):
        grant_access(s3, HOST3, "user3")


def test_a_policy_is_changed_in_the_form_in_which_the_server_returns_it(s3: RacingS3) -> None:
    """SeaweedFS returns a list of one element as a string."""
    for statement in s3.policies[BUCKET]["Statement"]:
        for name in ("Action", "Resource"):
            if len(statement.get(name, ())) == 1:
                (statement[name],) = statement[name]
    change = grant_access(s3, HOST3, "user3")
    assert not [each for each in change.removed if "RwmAdmin" in each["Sid"]]
    assert change.after == [*SHARED, UserAccess(THIRD, "host3/")]


def test_a_directory_of_a_repository_cannot_be_granted(s3: RacingS3) -> None:
    for key in ("config", "keys/k", "data/00/d", "host3/config", "host3/keys/k", "host3/data/00/d", "host4/data/d"):
        s3.put(BUCKET, key, b"1")
    for prefix, root in (("data/", BUCKET), ("snapshots/x/", BUCKET), ("host3/locks/", f"{BUCKET}/host3")):
        with pytest.raises(
            UsageError, match=f"^{Location(BUCKET, prefix)} is a directory of the repository at {root},"
        ):
            grant_access(s3, Location(BUCKET, prefix), "user3")
    for prefix in ("host3/", "host4/data/", "host3/more/"):
        grant_access(s3, Location(BUCKET, prefix), "user3")
