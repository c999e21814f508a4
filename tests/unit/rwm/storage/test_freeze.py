"""Freeze and thaw: what is recorded, what is written, and that every interruption can be continued."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NoReturn

import pytest

from rwm.errors import AccessDenied, NotFound, Refused
from rwm.index import Freezes, Index
from rwm.location import Location
from rwm.model import Freeze, FrozenUser
from rwm.s3 import Policy
from rwm.storage import check_storage, freeze_storage, inspect_storage, revoke_access, thaw_storage
from rwm.storage.frozen import ALL_SID, WRITES_SID, frozen_policy, frozen_users
from rwm.storage.grants import grants
from rwm.storage.policy import (
    DENIED_BUCKET_ACTIONS,
    DENIED_OBJECT_ACTIONS,
    USER_BUCKET_ACTIONS,
    USER_OBJECT_ACTIONS,
)
from tests.unit.memory import MemoryS3
from tests.unit.rwm.storage.policies import ADMIN, BUCKET, ON_BUCKET, ON_OBJECTS, SHARED, STRANGER, USER, good, plus

HERE = Location(BUCKET)
DATE = datetime(2030, 1, 1, tzinfo=UTC)
RULES: list[dict[str, Any]] = [
    {"ID": "x", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Date": DATE}},
    {"ID": "y", "Status": "Disabled", "Filter": {"Prefix": ""}, "NoncurrentVersionExpiration": {"NoncurrentDays": 1}},
]


class Killed(BaseException):
    """The program ends here, as after kill -9."""


class KillableS3(MemoryS3):
    """Ends before or after the n-th request that writes."""

    def __init__(self) -> None:
        super().__init__(BUCKET)
        self.policies[BUCKET] = good(SHARED)
        self.rules[BUCKET] = RULES
        self.writes = 0
        self.kill_at = -1

    def _write(self, action: Callable[[], Any]) -> Any:
        self.writes += 1
        if self.writes == self.kill_at:
            raise Killed
        result = action()
        if self.writes == -self.kill_at - 1:
            raise Killed
        return result

    def put_policy(self, bucket: str, policy: Policy) -> None:
        self._write(lambda: super(KillableS3, self).put_policy(bucket, policy))

    def put_lifecycle_rules(self, bucket: str, rules: list[dict[str, Any]]) -> None:
        self._write(lambda: super(KillableS3, self).put_lifecycle_rules(bucket, rules))

    def put(self, bucket: str, key: str, body: Any) -> str:
        return str(self._write(lambda: super(KillableS3, self).put(bucket, key, body)))

    def caller_arn(self) -> None:
        return None


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> KillableS3:
    monkeypatch.setattr("rwm.storage.policy_write._SETTLE_SECONDS", 0)
    return KillableS3()


@pytest.fixture
def freezes(tmp_path: Path) -> Iterator[Freezes]:
    with Index.open(tmp_path / "index.sqlite") as index:
        yield index.freezes


def denied(s3: MemoryS3) -> dict[str, str]:
    """Which users the policy freezes, and by which statement."""
    return {frozen.user: WRITES_SID if frozen.reads else ALL_SID for frozen in frozen_users(s3.policies[BUCKET])}


def test_all_users_are_frozen_and_thawed(s3: KillableS3, freezes: Freezes) -> None:
    before = good(SHARED)
    result = freeze_storage(s3, freezes, HERE, note="stolen keys")
    assert [(frozen.user, frozen.reads, frozen.note) for frozen in result.users] == [
        (USER, True, "stolen keys"),
        (STRANGER, True, "stolen keys"),
    ]
    assert (result.unnamed, result.warnings) == ([], [])
    assert denied(s3) == {USER: WRITES_SID, STRANGER: WRITES_SID}
    assert grants(before) < grants(s3.policies[BUCKET]), "what was denied stays denied"
    assert [rule["Status"] for rule in s3.rules[BUCKET]] == ["Disabled", "Disabled"]
    (key,) = [key for key in s3.buckets[BUCKET] if key.startswith("rwm/admin/freezes/")]
    document = json.loads(s3.get(BUCKET, key))
    assert (document["note"], document["policy_before"]) == ("stolen keys", before)
    assert thaw_storage(s3, freezes, HERE).users == ()
    assert s3.policies[BUCKET] == before
    assert s3.rules[BUCKET] == [{**RULES[0], "Expiration": {"Date": DATE.isoformat()}}, RULES[1]]
    assert freezes.get(BUCKET) is None
    with pytest.raises(NotFound, match="is not frozen"):
        thaw_storage(s3, freezes, HERE)


def test_one_user_is_frozen_without_reads_then_another(s3: KillableS3, freezes: Freezes) -> None:
    freeze_storage(s3, freezes, HERE, user="user1", reads=False, note="first")
    assert denied(s3) == {USER: ALL_SID}
    freeze_storage(s3, freezes, Location(BUCKET, "host2/sub/"), note="second")
    assert denied(s3) == {USER: ALL_SID, STRANGER: WRITES_SID}
    freeze_storage(s3, freezes, HERE, user="user1", note="again")
    assert denied(s3) == {USER: WRITES_SID, STRANGER: WRITES_SID}
    frozen = freezes.get(BUCKET)
    assert frozen is not None
    assert [user.note for user in frozen.users] == ["first", "second"]
    assert [each.user for each in thaw_storage(s3, freezes, HERE, user="user1").users] == [STRANGER]
    assert denied(s3) == {STRANGER: WRITES_SID}
    assert s3.rules[BUCKET][0]["Status"] == "Disabled"
    with pytest.raises(NotFound, match="user1 is not frozen"):
        thaw_storage(s3, freezes, HERE, user="user1")
    thaw_storage(s3, freezes, Location(BUCKET, "host2/"))
    assert s3.policies[BUCKET] == good(SHARED)
    assert s3.rules[BUCKET][0]["Status"] == "Enabled"


@pytest.mark.parametrize(
    ("prefix", "users"),
    [("host1/", [USER]), ("host1/sub/", [USER]), ("old/", [STRANGER]), ("old/host2/", [STRANGER])],
)
def test_the_users_that_reach_a_part_of_a_prefix_are_frozen(
    s3: KillableS3, freezes: Freezes, prefix: str, users: list[str]
) -> None:
    freeze_storage(s3, freezes, Location(BUCKET, prefix))
    assert list(denied(s3)) == users


def test_a_prefix_that_no_user_reaches_is_not_frozen(s3: KillableS3, freezes: Freezes) -> None:
    with pytest.raises(Refused, match="names no account that reaches bucket1/host3"):
        freeze_storage(s3, freezes, Location(BUCKET, "host3/"))
    assert s3.policies[BUCKET] == good(SHARED)


def test_every_action_that_changes_something_is_denied() -> None:
    known = {*USER_BUCKET_ACTIONS, *USER_OBJECT_ACTIONS, *DENIED_BUCKET_ACTIONS, *DENIED_OBJECT_ACTIONS}
    writes = {action for action in known if not action.startswith(("s3:Get", "s3:List"))} | {"s3:RestoreObject"}
    frozen = Freeze(BUCKET, ADMIN, good(), [], (FrozenUser(USER, True, 0, ""),))
    (denies,) = [each for each in (frozen_policy(frozen) or {})["Statement"] if each["Sid"] == WRITES_SID]
    assert denies["Resource"] == [ON_BUCKET, ON_OBJECTS]
    unmatched = [one for one in writes if not any(fnmatchcase(one, pattern) for pattern in denies["Action"])]
    assert unmatched == []
    assert not [one for one in known - writes if any(fnmatchcase(one, pattern) for pattern in denies["Action"])]


@pytest.mark.parametrize("kill_at", [1, 2, 3, -2, -3, -4])
def test_a_freeze_goes_on_after_a_kill(s3: KillableS3, freezes: Freezes, kill_at: int) -> None:
    s3.kill_at = kill_at
    with pytest.raises(Killed):
        freeze_storage(s3, freezes, HERE, note="first")
    s3.kill_at = -1
    assert [frozen.note for frozen in freeze_storage(s3, freezes, HERE, note="second").users] == ["first", "first"]
    assert denied(s3) == {USER: WRITES_SID, STRANGER: WRITES_SID}
    assert s3.rules[BUCKET][0]["Status"] == "Disabled"
    s3.writes, s3.kill_at = 0, kill_at
    with pytest.raises(Killed):
        thaw_storage(s3, freezes, HERE)
    s3.kill_at = -1
    if freezes.get(BUCKET):
        thaw_storage(s3, freezes, HERE)
    assert s3.policies[BUCKET] == good(SHARED)
    assert s3.rules[BUCKET][0]["Status"] == "Enabled"


def test_a_freeze_after_an_interrupted_thaw_keeps_the_former_settings(s3: KillableS3, freezes: Freezes) -> None:
    freeze_storage(s3, freezes, HERE)
    s3.writes, s3.kill_at = 0, 2
    with pytest.raises(Killed):
        thaw_storage(s3, freezes, HERE)
    s3.kill_at = -1
    freeze_storage(s3, freezes, HERE)
    thaw_storage(s3, freezes, HERE)
    assert s3.policies[BUCKET] == good(SHARED)
    assert s3.rules[BUCKET][0]["Status"] == "Enabled"


def test_two_freezes_at_once_end_with_both_users(
    s3: KillableS3, freezes: Freezes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one runs between the record of the first and its write, and its policy is lost once."""
    others = [lambda: freeze_storage(s3, freezes, HERE, user="user2")]
    write = s3.put_policy

    def put(bucket: str, policy: Policy) -> None:
        if others:
            others.pop()()
        write(bucket, policy)

    monkeypatch.setattr(s3, "put_policy", put)
    freeze_storage(s3, freezes, HERE, user="user1")
    assert denied(s3) == {USER: WRITES_SID, STRANGER: WRITES_SID}
    thaw_storage(s3, freezes, HERE)
    assert s3.policies[BUCKET] == good(SHARED)


EVERYONE = {"Effect": "Allow", "Principal": "*", "Action": "s3:PutObject", "Resource": ON_OBJECTS}
ACCOUNT = {"Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam::1:root", USER]}, "Action": "s3:*", "Resource": "*"}
NOT_PRINCIPAL = {"Effect": "Allow", "NotPrincipal": {"AWS": [ADMIN]}, "Action": "s3:*", "Resource": ON_OBJECTS}


@pytest.mark.parametrize("statement", [EVERYONE, ACCOUNT, NOT_PRINCIPAL], ids=["everyone", "account", "not"])
def test_a_policy_that_allows_anybody_is_frozen_and_comes_back(
    s3: KillableS3, freezes: Freezes, statement: dict[str, Any]
) -> None:
    s3.policies[BUCKET] = plus(statement)
    freeze_storage(s3, freezes, HERE)
    assert denied(s3) == {USER: WRITES_SID}
    allowed = {grant.principal for grant in grants(s3.policies[BUCKET]) if grant.effect == "Allow"}
    assert allowed == {ADMIN, USER}
    thaw_storage(s3, freezes, HERE)
    assert s3.policies[BUCKET] == plus(statement)


def test_a_policy_without_its_admin_gets_one_while_frozen(s3: KillableS3, freezes: Freezes) -> None:
    s3.policies[BUCKET] = {"Version": "2012-10-17", "Statement": good()["Statement"][1:]}
    freeze_storage(s3, freezes, HERE)
    assert ADMIN in {grant.principal for grant in grants(s3.policies[BUCKET])}
    assert denied(s3) == {USER: WRITES_SID}


def test_a_bucket_without_policy_needs_the_name_of_a_user(
    s3: KillableS3, freezes: Freezes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rwm.storage.freeze.find_admin_principal", lambda s3, bucket: ADMIN)
    del s3.policies[BUCKET]
    with pytest.raises(Refused, match="names no account"):
        freeze_storage(s3, freezes, HERE)
    assert freezes.get(BUCKET) is None
    result = freeze_storage(s3, freezes, HERE, user="user1")
    assert result.unnamed == [USER]
    assert denied(s3) == {USER: WRITES_SID}
    thaw_storage(s3, freezes, HERE)
    assert s3.policies == {}


def test_the_admin_is_not_frozen(s3: KillableS3, freezes: Freezes) -> None:
    with pytest.raises(Refused, match="admin account itself"):
        freeze_storage(s3, freezes, HERE, user="admin")
    assert freezes.get(BUCKET) is None


def test_an_acl_is_closed(s3: KillableS3, freezes: Freezes) -> None:
    s3.granted = [("http://acs.amazonaws.com/groups/global/AllUsers", "WRITE")]
    (warning,) = freeze_storage(s3, freezes, HERE).warnings
    assert "granted WRITE to http" in warning
    assert s3.granted == []


def test_a_thaw_refuses_a_policy_that_was_changed(s3: KillableS3, freezes: Freezes) -> None:
    freeze_storage(s3, freezes, HERE)
    s3.policies[BUCKET]["Statement"].append(EVERYONE)
    with pytest.raises(Refused, match="was changed since it was frozen"):
        thaw_storage(s3, freezes, HERE)
    thaw_storage(s3, freezes, HERE, force=True)
    assert s3.policies[BUCKET] == good(SHARED)


def test_lifecycle_rules_that_were_changed_stay(s3: KillableS3, freezes: Freezes) -> None:
    freeze_storage(s3, freezes, HERE)
    s3.rules[BUCKET] = []
    assert thaw_storage(s3, freezes, HERE).warnings == [
        "the lifecycle rules were changed since the freeze, and stay as they are"
    ]
    assert s3.rules[BUCKET] == []


def test_another_index_thaws_what_the_policy_tells(s3: KillableS3, freezes: Freezes, tmp_path: Path) -> None:
    freeze_storage(s3, freezes, HERE)
    with Index.open(tmp_path / "other.sqlite") as index:
        with pytest.raises(Refused, match="does not know the freeze"):
            thaw_storage(s3, index.freezes, HERE, user="user1")
        freeze_storage(s3, index.freezes, HERE, user="user1", reads=False)
        assert denied(s3) == {USER: ALL_SID, STRANGER: WRITES_SID}, "the freeze of another index is kept"
        thaw_storage(s3, index.freezes, HERE)
        assert s3.policies[BUCKET] == good(SHARED)
    s3.policies[BUCKET] = good()  # the administrator has changed the users since
    freeze_storage(s3, freezes, HERE)
    assert denied(s3) == {USER: WRITES_SID}
    thaw_storage(s3, freezes, HERE)
    assert s3.policies[BUCKET] == good(), "the record of the first freeze was out of date"


def test_a_freeze_without_record_is_taken_back(s3: KillableS3, freezes: Freezes, tmp_path: Path) -> None:
    freeze_storage(s3, freezes, HERE)
    with Index.open(tmp_path / "other.sqlite") as index:
        (warning,) = thaw_storage(s3, index.freezes, HERE).warnings
    assert "lifecycle rules stay disabled" in warning
    assert s3.policies[BUCKET] == good(SHARED)


def test_an_account_that_may_not_freeze_leaves_no_record(
    s3: KillableS3, freezes: Freezes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deny(bucket: str, policy: Policy) -> NoReturn:
        raise AccessDenied("PutBucketPolicy bucket1: AccessDenied")

    monkeypatch.setattr(s3, "put_policy", deny)
    with pytest.raises(AccessDenied):
        freeze_storage(s3, freezes, HERE)
    assert freezes.get(BUCKET) is None


def test_a_check_says_who_is_frozen_and_nothing_else(s3: KillableS3, freezes: Freezes) -> None:
    s3.rules.clear()
    freeze_storage(s3, freezes, HERE, user="user1")
    freeze_storage(s3, freezes, HERE, user="user2", reads=False)
    assert check_storage(s3, BUCKET) == [
        ("frozen", f"{USER} may write nothing until rwm storage thaw"),
        ("frozen", f"{STRANGER} may do nothing until rwm storage thaw"),
    ]
    assert inspect_storage(s3, HERE).users == SHARED
    with pytest.raises(Refused, match="may write nothing until"):
        revoke_access(s3, BUCKET, "user1")


def test_a_statement_that_allows_is_never_taken_for_a_freeze(s3: KillableS3) -> None:
    s3.policies[BUCKET] = plus(EVERYONE | {"Sid": WRITES_SID})
    assert "policy-extra-statement" in [item.code for item in check_storage(s3, BUCKET)]
