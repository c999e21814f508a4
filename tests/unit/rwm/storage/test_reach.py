"""Which users reach a location: who may write there now."""

from __future__ import annotations

from rwm.errors import AccessDenied
from rwm.location import Location
from rwm.model import Freeze, FrozenUser
from rwm.storage import active_users
from rwm.storage.frozen import frozen_policy
from rwm.storage.policy import protected_policy
from rwm.storage.users import UserAccess
from tests.unit.memory import MemoryS3
from tests.unit.rwm.storage.policies import ADMIN, BUCKET, SHARED, STRANGER, USER

HERE = Location(BUCKET)


def bucket_for(*users: UserAccess) -> MemoryS3:
    s3 = MemoryS3(BUCKET)
    s3.put_policy(BUCKET, protected_policy(BUCKET, ADMIN, users))
    return s3


def test_a_user_of_the_whole_bucket_writes_everywhere() -> None:
    s3 = bucket_for(UserAccess(USER))
    assert active_users(s3, HERE) == active_users(s3, Location(BUCKET, "host1/")) == [USER]


def test_users_of_prefixes_write_at_what_overlaps_them() -> None:
    s3 = bucket_for(*SHARED)
    assert active_users(s3, HERE) == [USER, STRANGER]
    assert active_users(s3, Location(BUCKET, "host1/")) == [USER]
    assert active_users(s3, Location(BUCKET, "host1/inside/")) == [USER]
    assert active_users(s3, Location(BUCKET, "other/")) == []


def test_frozen_and_revoked_users_do_not_write() -> None:
    s3 = bucket_for(UserAccess(USER), UserAccess(STRANGER, revoked=True))
    assert active_users(s3, HERE) == [USER]
    freeze = Freeze(BUCKET, ADMIN, s3.policy(BUCKET), [], (FrozenUser(USER, True, 0, ""),))
    s3.put_policy(BUCKET, frozen_policy(freeze) or {})
    assert active_users(s3, HERE) == []


def test_it_is_unknown_without_a_policy_or_the_right_to_read_it() -> None:
    assert active_users(MemoryS3(BUCKET), HERE) is None

    class Denying(MemoryS3):
        def policy(self, bucket: str) -> None:
            raise AccessDenied("GetBucketPolicy: AccessDenied")

    assert active_users(Denying(BUCKET), HERE) is None
