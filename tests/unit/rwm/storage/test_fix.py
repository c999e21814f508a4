"""The repair of drift: what is planned, and what is refused because it is not certain."""

from __future__ import annotations

from typing import Any

import pytest

from rwm.errors import Refused
from rwm.storage import apply_fix, check_storage, plan_fix
from rwm.storage.frozen import ALL_SID
from tests.unit.memory import MemoryS3
from tests.unit.rwm.storage.policies import ADMIN, BUCKET, ON_OBJECTS, SHARED, USER, USERS, good, plus

EVERYONE = {"Effect": "Allow", "Principal": "*", "Action": "s3:PutObject", "Resource": ON_OBJECTS}
RULE: dict[str, Any] = {"ID": "eat", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> MemoryS3:
    monkeypatch.setattr("rwm.storage.policy_write._SETTLE_SECONDS", 0)
    s3 = MemoryS3(BUCKET)
    s3.policies[BUCKET] = good()
    s3.account = "admin"
    return s3


def test_a_protected_bucket_needs_nothing(s3: MemoryS3) -> None:
    assert plan_fix(s3, BUCKET) == []


def test_every_setting_is_repaired_once(s3: MemoryS3) -> None:
    s3.states[BUCKET] = "Suspended"
    s3.policies[BUCKET] = plus(EVERYONE)
    s3.granted = [("everyone", "READ"), ("everyone", "WRITE")]
    abort = {"ID": "abort", "Status": "Enabled", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}}
    s3.rules[BUCKET] = [RULE, {**RULE, "ID": "kept", "Status": "Disabled"}, abort]
    steps = plan_fix(s3, BUCKET)
    assert [step.detail for step in steps] == [
        "versioning: Suspended -> Enabled",
        f"policy: - statement: Allow s3:putobject on {ON_OBJECTS} to *",
        "ACL of the bucket: - READ to everyone",
        "ACL of the bucket: - WRITE to everyone",
        "lifecycle rule eat: Enabled -> Disabled",
    ]
    assert s3.granted, "a plan changes nothing"
    apply_fix(steps)
    assert check_storage(s3, BUCKET) == []
    assert s3.policies[BUCKET] == good()
    assert [rule["ID"] for rule in s3.rules[BUCKET]] == ["eat", "kept", "abort"]
    assert s3.rules[BUCKET][2] == abort, "it touches no version"
    assert plan_fix(s3, BUCKET) == []


@pytest.mark.parametrize("users", [name for name in USERS if name not in ("seaweedfs", "tenant", "aws")])
def test_each_missing_statement_comes_back(s3: MemoryS3, users: str) -> None:
    whole = good(USERS[users])
    for missing in whole["Statement"]:
        if (missing["Effect"] == "Allow" and missing["Principal"]["AWS"] != [ADMIN]) or missing["Sid"] == "RwmRevoked":
            continue  # these tell who the users are and what they reach
        s3.policies[BUCKET] = {**whole, "Statement": [each for each in whole["Statement"] if each is not missing]}
        apply_fix(plan_fix(s3, BUCKET))
        assert check_storage(s3, BUCKET) == [], missing["Sid"]
        assert s3.policies[BUCKET] == whole, missing["Sid"]


FROZEN = {"Sid": ALL_SID, "Effect": "Deny", "Principal": {"AWS": [USER]}, "Action": "s3:*", "Resource": ON_OBJECTS}


@pytest.mark.parametrize(
    ("policy", "owner", "message"),
    [
        (None, "admin", "names no machine"),
        ({"Statement": [EVERYONE]}, "admin", "names no machine"),
        (plus(FROZEN), "admin", "is frozen"),
        (good([*SHARED, SHARED[0]._replace(prefix="host2/sub/")]), "admin", "reach the same objects"),
        (good(), "user1", "belongs to user1, not to this one"),
        (good(), "", "belongs to another account"),
    ],
    ids=["none", "nobody", "frozen", "overlap", "owner", "unknown owner"],
)
def test_what_is_not_certain_is_refused(s3: MemoryS3, policy: Any, owner: str, message: str) -> None:
    s3.owner = owner
    if policy is None:
        del s3.policies[BUCKET]
    else:
        s3.policies[BUCKET] = policy
    with pytest.raises(Refused, match=message):
        plan_fix(s3, BUCKET)
