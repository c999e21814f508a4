"""Accounts and policies for tests of protected buckets."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from rwm.s3 import Policy
from rwm.storage.policy import protected_policy
from rwm.storage.users import UserAccess

ADMIN = "arn:aws:iam:::user/admin"
USER = "arn:aws:iam:::user/user1"
STRANGER = "arn:aws:iam:::user/user2"
T1_ADMIN = "arn:aws:iam::t1:user/admin"
CANONICAL = "75aa57f09aa0c8caeab4f8c24e99d10f8e7faeebf76c078efc7c6caea54ba06a"
BUCKET = "bucket1"
ON_BUCKET, ON_OBJECTS = "arn:aws:s3:::bucket1", "arn:aws:s3:::bucket1/*"


SHARED = [UserAccess(USER, "host1/"), UserAccess(STRANGER, "host2/"), UserAccess(STRANGER, "old/host2/")]
"""Two users with prefixes."""
SEAWEEDFS = "arn:aws:iam::000000000000:user/"
USERS = {
    "one": [UserAccess(USER)],
    "prefixes": SHARED,
    "revoked": [*SHARED, UserAccess("arn:aws:iam:::user/user3", revoked=True)],
    "none left": [UserAccess(USER, revoked=True)],
    "seaweedfs": [UserAccess(f"{SEAWEEDFS}user1", "a/"), UserAccess(f"{SEAWEEDFS}user1", "b/")],
    "tenant": [UserAccess("arn:aws:iam::t1:user/user1", "a/b c/")],
    "aws": [
        UserAccess("arn:aws:iam::123456789012:user/user1", "a/"),
        UserAccess("arn:aws:iam::123456789012:user/u2", "b/"),
    ],
    "strict": [UserAccess(USER, strict=True)],
    "strict prefixes": [
        UserAccess(USER, "host1/", strict=True),
        UserAccess(USER, "old/host1/", strict=True),
        UserAccess(STRANGER, "host2/"),
    ],
    "readers": [UserAccess(USER, "host1/", version_reads=True), UserAccess(STRANGER, "host2/", False, True, True)],
    "beside": [UserAccess(USER, revoked=True), UserAccess(STRANGER)],
}
"""Users of protected buckets."""


def good(users: Iterable[UserAccess] = USERS["one"]) -> Policy:
    """The policy of a protected bucket, to be changed."""
    return copy.deepcopy(protected_policy(BUCKET, ADMIN, users))


def statement(policy: Policy, sid: str) -> dict[str, Any]:
    (found,) = [item for item in policy["Statement"] if item["Sid"] == sid]
    assert isinstance(found, dict)
    return found


def plus(*statements: object) -> Policy:
    """The policy of a protected bucket and these statements."""
    policy = good()
    policy["Statement"] += statements
    return policy
