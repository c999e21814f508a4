"""A record of an operation explains something only where no user can have written it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from rwm.index import Index
from rwm.location import Location
from rwm.model import Freeze, FrozenUser, OperationChange
from rwm.operations import begin_operation, new_operation
from rwm.storage import own_changes
from rwm.storage.frozen import frozen_policy
from rwm.storage.policy import protected_policy
from rwm.storage.users import UserAccess
from tests.unit.memory import MemoryS3
from tests.unit.rwm.storage.policies import ADMIN, BUCKET, SHARED, STRANGER, USER

CHANGE = OperationChange("marked", "host1/a", "m1")
EVERYONE = {"Effect": "Allow", "Principal": "*", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{BUCKET}/*"}


@pytest.fixture
def s3(tmp_path: Path) -> MemoryS3:
    """A bucket with a record that another computer of the admin wrote."""
    s3 = MemoryS3(BUCKET)
    s3.account = s3.owner
    with Index.open(tmp_path / "other" / "index.sqlite") as index:
        operation = new_operation(s3, "roll-back", Location(BUCKET))
        with begin_operation(s3, index, operation) as log:
            log.add([CHANGE])
    return s3


def explained(s3: MemoryS3, directory: Path) -> list[OperationChange]:
    with Index.open(directory / "own" / "index.sqlite") as index:
        return [change for _, change in own_changes(s3, index, Location(BUCKET))]


@pytest.mark.parametrize("users", [[UserAccess(USER)], SHARED, [UserAccess(USER, revoked=True), UserAccess(STRANGER)]])
def test_a_record_counts_in_a_protected_bucket(s3: MemoryS3, tmp_path: Path, users: Iterable[UserAccess]) -> None:
    policy = protected_policy(BUCKET, ADMIN, users)
    s3.put_policy(BUCKET, policy)
    assert explained(s3, tmp_path) == [CHANGE]
    frozen = frozen_policy(Freeze(BUCKET, ADMIN, policy, [], (FrozenUser(USER, True, 0, ""),)))
    s3.put_policy(BUCKET, frozen or {})
    assert explained(s3, tmp_path) == [CHANGE]


def test_a_record_does_not_count_where_a_user_may_write_it(s3: MemoryS3, tmp_path: Path) -> None:
    assert explained(s3, tmp_path) == []  # no policy
    policy = protected_policy(BUCKET, ADMIN, [UserAccess(USER)])
    rest = [each for each in policy["Statement"] if each["Sid"] != "RwmAdminAreaDenied"]
    for statements in (rest, [*policy["Statement"], EVERYONE], []):
        s3.put_policy(BUCKET, {**policy, "Statement": statements})
        assert explained(s3, tmp_path) == []


def test_a_record_does_not_count_where_the_acl_lets_somebody_in(s3: MemoryS3, tmp_path: Path) -> None:
    s3.put_policy(BUCKET, protected_policy(BUCKET, ADMIN, [UserAccess(USER)]))
    s3.granted = [("user1", "WRITE")]
    assert explained(s3, tmp_path) == []
