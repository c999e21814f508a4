"""Creation of a protected bucket, on a server that enforces policies for one form of principals, or for none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rwm.errors import AccessDenied, Refused, RwmError, UsageError
from rwm.model import ObjectVersion
from rwm.s3 import DefaultRetention
from rwm.storage import BucketLock, create_storage, ensure_storage, read_lock
from rwm.storage.features import CONDITIONS
from rwm.storage.policy_probe import PROBED_PREFIX, conditional_probe, probe_policy
from rwm.storage.users import UserAccess
from rwm.times import DAY
from tests.unit.memory import MemoryS3
from tests.unit.rwm.storage.policies import ADMIN, BUCKET, SHARED, USER, good


class PolicyS3(MemoryS3):
    """Denies a version listing while the policy has the probe of ``admin``, the account's principal on this server."""

    def __init__(self, admin: str = ADMIN) -> None:
        super().__init__()
        self.account = self.owner = "admin"
        self.admin = admin
        self.obeys_conditions = True

    def caller_arn(self) -> str | None:
        return None

    def versions(self, bucket: str, prefix: str = "", *, page_size: int = 1000) -> Iterator[ObjectVersion]:
        statements = self.policies.get(bucket, {}).get("Statement", [])
        conditional = conditional_probe(bucket, self.admin)["Statement"][0]
        if self.obeys_conditions and conditional in statements and prefix.startswith(PROBED_PREFIX):
            raise AccessDenied("ListObjectVersions: AccessDenied")
        if probe_policy(bucket, self.admin)["Statement"][0] in statements:
            raise AccessDenied("ListObjectVersions: AccessDenied")
        return super().versions(bucket, prefix, page_size=page_size)


def test_the_bucket_is_versioned_and_has_the_policy() -> None:
    s3 = PolicyS3()
    assert create_storage(s3, BUCKET, "user1") == [UserAccess(USER)]
    assert s3.states[BUCKET] == "Enabled"
    assert s3.policies[BUCKET] == good()


def test_an_empty_bucket_is_accepted_with_the_probe_of_an_interrupted_run() -> None:
    s3 = PolicyS3()
    s3.create_bucket(BUCKET)
    s3.put_policy(BUCKET, probe_policy(BUCKET, ADMIN))
    assert create_storage(s3, BUCKET, "user1") == [UserAccess(USER)]
    assert create_storage(s3, BUCKET, "user1") == [UserAccess(USER)]


def test_a_bucket_that_is_not_empty_is_refused() -> None:
    s3 = PolicyS3()
    s3.create_bucket(BUCKET)
    s3.put(BUCKET, "key", b"1")
    with pytest.raises(Refused, match="is not empty"):
        create_storage(s3, BUCKET, "user1")


def test_a_bucket_that_is_protected_for_the_same_users_may_have_objects() -> None:
    s3 = PolicyS3()
    assert ensure_storage(s3, BUCKET, "user1") == [UserAccess(USER)]
    s3.put(BUCKET, "key", b"1")
    policies = dict(s3.policies)
    assert ensure_storage(s3, BUCKET, "user1") == [UserAccess(USER)]
    assert s3.policies == policies, "no probe was put"
    with pytest.raises(Refused, match="has other users"):
        ensure_storage(s3, BUCKET, "user2")
    s3.delete_policy(BUCKET)
    with pytest.raises(Refused, match="is not empty"):
        ensure_storage(s3, BUCKET, "user1")


def test_a_bucket_with_another_policy_is_refused() -> None:
    s3 = PolicyS3()
    s3.create_bucket(BUCKET)
    s3.put_policy(BUCKET, {"Statement": []})
    with pytest.raises(Refused, match="has a policy of its own"):
        create_storage(s3, BUCKET, "user1")
    assert s3.policies[BUCKET] == {"Statement": []}


def test_several_users_have_a_prefix_each() -> None:
    s3 = PolicyS3()
    assert create_storage(s3, BUCKET, "user1:host1", "user2:host2/", "user2:old/host2") == SHARED
    assert s3.policies[BUCKET] == good(SHARED)
    assert create_storage(s3, BUCKET, "user2:old/host2", "user1:host1", "user2:host2/") == SHARED, "safe to repeat"


@pytest.mark.parametrize(
    ("users", "named"),
    [
        (("user1", "user2"), r"user1 \(whole bucket\) and user2 \(whole bucket\)"),
        (("user1", "user2:host2"), r"user1 \(whole bucket\) and user2 \(host2/\)"),
        (("user1:a/b", "user2:a"), r"user1 \(a/b/\) and user2 \(a/\)"),
    ],
)
def test_users_that_would_reach_the_same_objects_are_refused(users: tuple[str, ...], named: str) -> None:
    s3 = PolicyS3()
    with pytest.raises(UsageError, match=f"^{named} would reach the same objects$"):
        create_storage(s3, BUCKET, *users)
    assert not s3.buckets, "before anything is created"


def test_a_bucket_with_other_users_is_refused() -> None:
    s3 = PolicyS3()
    create_storage(s3, BUCKET, "user1:host1/")
    with pytest.raises(Refused, match="exists and has other users"):
        create_storage(s3, BUCKET, "user2:host2/")
    assert s3.policies[BUCKET] == good([UserAccess(USER, "host1/")])


def test_the_admin_is_refused_as_the_user() -> None:
    with pytest.raises(Refused, match="is the admin account itself"):
        create_storage(PolicyS3(), BUCKET, "admin")


def test_a_new_bucket_that_cannot_be_removed_does_not_hide_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def delete_bucket(bucket: str) -> None:
        raise AccessDenied(f"DeleteBucket {bucket}: AccessDenied (HTTP 403)")

    s3, warnings = PolicyS3(), list[str]()
    monkeypatch.setattr(s3, "delete_bucket", delete_bucket)
    with pytest.raises(Refused, match="is the admin account itself"):
        create_storage(s3, BUCKET, "admin", warn=warnings.append)
    assert warnings == [
        f"the new bucket {BUCKET} stays, without protection: DeleteBucket {BUCKET}: AccessDenied (HTTP 403)"
    ]


@pytest.mark.parametrize("user", ["admin", "user*", "t2$user1", "nobody"])
def test_a_refused_user_leaves_no_bucket_that_was_not_there(user: str) -> None:
    s3 = PolicyS3()
    s3.unknown_accounts = {"nobody"}
    with pytest.raises((Refused, UsageError)):
        create_storage(s3, BUCKET, user)
    assert not s3.buckets
    s3.create_bucket(BUCKET)
    with pytest.raises((Refused, UsageError)):
        create_storage(s3, BUCKET, user)
    assert list(s3.buckets) == [BUCKET]


def test_a_server_that_ignores_conditions_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rwm.storage.policy_probe._EFFECT_SECONDS", 0.0)
    s3, warnings = PolicyS3(), list[str]()
    s3.obeys_conditions = False
    create_storage(s3, BUCKET, "user1", warn=warnings.append)
    assert warnings == [CONDITIONS.consequence]
    assert s3.policies[BUCKET] == good()


MONTH = DefaultRetention("governance", 30 * DAY)


def test_a_bucket_is_made_with_a_default_retention() -> None:
    s3 = PolicyS3()
    create_storage(s3, BUCKET, "user1", lock=MONTH)
    assert read_lock(s3, BUCKET) == BucketLock("enabled", MONTH)


def test_a_server_that_ignores_the_lock_leaves_no_bucket() -> None:
    s3 = PolicyS3()
    s3.knows_locks = False
    with pytest.raises(Refused, match="--lock is not possible"):
        create_storage(s3, BUCKET, "user1", lock=MONTH)
    assert not s3.buckets


def test_a_server_that_ignores_policies_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rwm.storage.policy_probe._EFFECT_SECONDS", 0.0)
    s3 = PolicyS3(admin="another form")
    with pytest.raises(RwmError, match=f"does not obey bucket policies: taking a right from {ADMIN} "):
        create_storage(s3, BUCKET, "user1")
    assert BUCKET not in s3.policies
