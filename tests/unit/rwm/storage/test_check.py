"""The check reads every setting of a bucket and reports what differs, or cannot be read."""

from __future__ import annotations

from typing import NoReturn

import pytest

from rwm.errors import AccessDenied, NotFound
from rwm.storage import check_storage
from tests.unit.memory import MemoryS3
from tests.unit.rwm.storage.policies import BUCKET, good


@pytest.fixture
def s3() -> MemoryS3:
    s3 = MemoryS3(BUCKET)
    s3.owner = "admin"
    s3.policies[BUCKET] = good()
    return s3


def test_a_protected_bucket_has_no_drift(s3: MemoryS3) -> None:
    assert check_storage(s3, BUCKET) == []


def test_every_setting_is_compared(s3: MemoryS3) -> None:
    s3.owner = "user1"
    s3.states[BUCKET] = "Suspended"
    codes = {drift.code for drift in check_storage(s3, BUCKET)}
    assert codes == {"versioning", "policy-missing-statement", "policy-extra-statement"}


@pytest.mark.parametrize(
    ("reader", "name"), [("versioning", "versioning"), ("policy", "policy"), ("lifecycle_rules", "lifecycle")]
)
def test_a_setting_that_may_not_be_read_is_drift(
    s3: MemoryS3, reader: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deny(bucket: str) -> NoReturn:
        raise AccessDenied("denied")

    monkeypatch.setattr(s3, reader, deny)
    assert check_storage(s3, BUCKET) == [("unreadable", f"the {name} cannot be checked: denied")]


def test_an_unknown_bucket_is_not_found(s3: MemoryS3) -> None:
    with pytest.raises(NotFound):
        check_storage(s3, "other")
