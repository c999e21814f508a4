"""The check reads every setting of a bucket and reports what differs, or cannot be read."""

from __future__ import annotations

from typing import NoReturn

import pytest

from rwm.errors import AccessDenied, NotFound, NotSupported
from rwm.location import Location
from rwm.storage import UserAccess, check_storage, inspect_storage
from tests.unit.memory import MemoryS3
from tests.unit.rwm.storage.policies import BUCKET, SHARED, USER, good


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
    assert check_storage(s3, BUCKET) == [("unreadable", f"{name} cannot be checked: denied")]


def test_settings_that_are_denied_for_one_reason_are_one_drift(s3: MemoryS3, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine may read none of them."""
    for reader in ("versioning", "acl", "policy", "lifecycle_rules"):

        def deny(bucket: str, reader: str = reader) -> NoReturn:
            error = AccessDenied(f"{reader} {bucket}: AccessDenied (HTTP 403)")
            error.reason = "AccessDenied (HTTP 403)"
            raise error

        monkeypatch.setattr(s3, reader, deny)
    text = "versioning, acl, policy, lifecycle cannot be checked: AccessDenied (HTTP 403)"
    assert check_storage(s3, BUCKET) == [("unreadable", text)]


@pytest.mark.parametrize("code", ["InvalidAccessKeyId", "SignatureDoesNotMatch"])
def test_wrong_keys_are_an_error_and_no_drift(s3: MemoryS3, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(bucket: str) -> NoReturn:
        error = AccessDenied("wrong keys")
        error.code = code
        raise error

    monkeypatch.setattr(s3, "versioning", deny)
    with pytest.raises(AccessDenied):
        check_storage(s3, BUCKET)


@pytest.mark.parametrize("reader", ["versioning", "acl", "policy", "lifecycle_rules"])
def test_a_setting_that_the_server_does_not_have_is_drift_and_the_others_are_checked(
    s3: MemoryS3, reader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lack(bucket: str) -> NoReturn:
        raise NotSupported("operation bucket1: 501", hint="what it means")

    for name in ("versioning", "acl", "policy", "lifecycle_rules"):
        monkeypatch.setattr(s3, name, lack)
    assert check_storage(s3, BUCKET) == [("unsupported", "what it means (operation bucket1: 501)")] * 4
    monkeypatch.undo()
    monkeypatch.setattr(s3, reader, lack)
    found = check_storage(s3, BUCKET)
    assert found[0].code == "unsupported"
    assert {drift.code for drift in found[1:]} <= {"ownership"}, "only the owner is not known without an ACL"


def test_an_unknown_bucket_is_not_found(s3: MemoryS3) -> None:
    with pytest.raises(NotFound):
        check_storage(s3, "other")


def test_users_are_listed_and_a_prefix_must_be_reached(s3: MemoryS3) -> None:
    s3.policies[BUCKET] = good(SHARED)
    for prefix in ("", "host1/", "host1/sub/", "old/host2/"):
        assert inspect_storage(s3, Location(BUCKET, prefix)) == ([], SHARED)
    for prefix in ("host3/", "old/"):
        (drift,) = inspect_storage(s3, Location(BUCKET, prefix)).drift
        assert drift == ("location-no-user", f"no user may write to all of {Location(BUCKET, prefix)}")
    s3.policies[BUCKET] = good([UserAccess(USER, revoked=True)])
    assert [item.code for item in inspect_storage(s3, Location(BUCKET, "host1/")).drift] == ["location-no-user"]
    assert check_storage(s3, BUCKET) == []
