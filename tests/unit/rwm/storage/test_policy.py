"""The policy of a protected bucket: what it allows and denies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rwm.storage.drift import policy_drift
from rwm.storage.grants import Grant, grants
from rwm.storage.policy import (
    DENIED_BUCKET_ACTIONS,
    DENIED_OBJECT_ACTIONS,
    USER_BUCKET_ACTIONS,
    USER_OBJECT_ACTIONS,
)
from rwm.storage.policy_probe import probe_policy
from rwm.storage.users import UserAccess
from tests.unit.rwm.storage.policies import ADMIN, BUCKET, ON_BUCKET, ON_OBJECTS, SHARED, STRANGER, USER, USERS, good


def test_the_user_may_not_delete_versions_or_change_protection() -> None:
    allowed = {grant.action for grant in grants(good()) if grant.principal == USER and grant.effect == "Allow"}
    assert allowed == {action.lower() for action in USER_BUCKET_ACTIONS + USER_OBJECT_ACTIONS}
    denied = {action.lower() for action in DENIED_BUCKET_ACTIONS + DENIED_OBJECT_ACTIONS}
    assert not allowed & denied
    for word in ("version", "policy", "acl", "lifecycle", "retention", "hold", "tagging", "lock"):
        assert not [action for action in allowed if word in action and not action.startswith(("s3:get", "s3:list"))]
    assert "s3:getobjectversion" not in allowed


def test_destructive_actions_are_denied_explicitly() -> None:
    denied = {grant.action for grant in grants(good()) if grant.effect == "Deny" and not grant.condition}
    for action in ("DeleteObjectVersion", "PutBucketVersioning", "PutBucketPolicy", "PutLifecycleConfiguration",
                   "PutObjectRetention", "BypassGovernanceRetention", "PutObjectAcl", "DeleteBucket"):  # fmt: skip
        assert f"s3:{action}".lower() in denied


def test_the_admin_is_allowed_everything() -> None:
    resources = {grant.resource for grant in grants(good()) if grant.principal == ADMIN and grant.action == "s3:*"}
    assert resources == {ON_BUCKET, ON_OBJECTS}


@pytest.mark.parametrize(
    "header", ["acl", *(f"grant-{who}" for who in ("read", "write", "read-acp", "write-acp", "full-control"))]
)
def test_a_put_with_an_acl_header_is_denied(header: str) -> None:
    """One statement each: the conditions of one statement are combined by AND."""
    condition = json.dumps({"StringLike": {f"s3:x-amz-{header}": ["?*"]}})
    assert ("Deny", USER, "s3:putobject", ON_OBJECTS, condition) in grants(good())


@pytest.mark.parametrize("users", list(USERS))
def test_every_user_is_denied_the_records_of_the_admin(users: str) -> None:
    found = grants(good(USERS[users]))
    named = {grant.principal for grant in found if grant.effect == "Allow"} - {ADMIN}
    for action in ("s3:putobject", "s3:deleteobject", "s3:abortmultipartupload"):
        denied = {grant.principal for grant in found if grant[2:] == (action, f"{ON_BUCKET}/rwm/admin/*", "")}
        outside = {grant.principal for grant in found if grant.resource.startswith("NotResource")}
        assert denied | outside >= named, action


@pytest.mark.parametrize("users", ["one", "seaweedfs", "aws"])
def test_copies_and_foreign_keys_are_denied(users: str) -> None:
    headers = {"x-amz-copy-source", "x-amz-server-side-encryption-aws-kms-key-id"}
    if users != "one":  # RGW knows no condition for it
        headers.add("x-amz-server-side-encryption-customer-algorithm")
    denied = {grant.condition for grant in grants(good(USERS[users])) if grant.effect == "Deny" and grant.condition}
    encrypted = {each for each in denied if "encryption" in each or "copy" in each}
    assert encrypted == {json.dumps({"StringLike": {f"s3:{header}": ["?*"]}}) for header in headers}


@pytest.mark.parametrize(("users", "prefix"), [("strict", ""), ("strict prefixes", "host1/")])
def test_a_strict_user_may_delete_locks_alone(users: str, prefix: str) -> None:
    found = [
        grant for grant in grants(good(USERS[users])) if (grant.principal, grant.action) == (USER, "s3:deleteobject")
    ]
    allowed = {grant.resource for grant in found if grant.effect == "Allow"}
    assert allowed >= {f"{ON_BUCKET}/{prefix}locks/*", f"{ON_BUCKET}/{prefix}*/locks/*"}
    assert all(resource.endswith("locks/*") for resource in allowed)
    denied = {grant.resource for grant in found if grant.effect == "Deny"}
    assert f"NotResource:{json.dumps(sorted(allowed))}" in denied


def test_only_readers_may_read_noncurrent_versions() -> None:
    granted = grants(good(USERS["readers"]))
    found = {(each.principal, each.effect) for each in granted if each.action == "s3:getobjectversion"}
    assert found == {(USER, "Allow"), (STRANGER, "Allow")}
    assert ("Deny", USER, "s3:deleteobjectversion", ON_OBJECTS, "") in granted


def test_an_earlier_policy_of_one_user_lacks_only_what_was_added() -> None:
    earlier = json.loads((Path(__file__).parent / "policy_of_one_user.json").read_text())
    added = ("RwmAdminAreaDenied", "RwmUserCopyDenied", "RwmUserKmsKeyDenied")
    assert [each for each in good()["Statement"] if each["Sid"] not in added] == earlier["Statement"]
    assert {item.code for item in policy_drift(earlier, BUCKET, "admin")} == {"policy-missing-statement"}


def test_a_user_of_a_prefix_reaches_only_its_prefix() -> None:
    for grant in grants(good(SHARED)):
        if grant.principal == USER and grant.effect == "Allow":
            on_prefix = f"{ON_BUCKET}/host1/*"
            listing = grant.action.startswith("s3:list") and not grant.action.endswith("parts")
            assert grant.resource in ((ON_BUCKET,) if listing else (ON_BUCKET, on_prefix))
            if grant.action.startswith("s3:listbucket"):
                below = json.dumps({"StringLike": {"s3:prefix": ["host1/*"]}})
                absent = json.dumps({"Null": {"s3:max-keys": ["true"]}})
                assert grant.condition == below or (grant.action, grant.condition) == ("s3:listbucket", absent)
    outside = f'NotResource:["{ON_BUCKET}", "{ON_BUCKET}/host1/*"]'
    assert Grant("Deny", USER, "s3:*", outside, "") in grants(good(SHARED))


def test_a_listing_outside_of_the_prefixes_is_denied() -> None:
    """RGW would deny all that is not below every one of several prefixes. SeaweedFS gives HeadBucket no prefix."""
    denied = {
        (grant.principal.rpartition("/")[2], grant.action, grant.condition)
        for users in ("prefixes", "aws", "seaweedfs")
        for grant in grants(good(USERS[users]))
        if grant.effect == "Deny" and grant.resource == ON_BUCKET and grant.action.startswith("s3:list")
    }
    actions = ("s3:listbucket", "s3:listbucketversions", "s3:listbucketmultipartuploads")
    elsewhere = {
        ("user1", '{"StringNotLike": {"s3:prefix": ["host1/*"]}}'),
        ("user1", '{"StringNotLike": {"s3:prefix": ["a/*"]}}'),
        ("u2", '{"StringNotLike": {"s3:prefix": ["b/*"]}}'),
        (
            "user1",
            '{"StringNotEquals": {"s3:RequestMethod": ["HEAD"]}, "StringNotLike": {"s3:prefix": ["a/*", "b/*"]}}',
        ),
    }
    assert denied == {(user, action, condition) for user, condition in elsewhere for action in actions}


def test_only_rgw_may_answer_whether_a_key_is_absent_without_a_prefix() -> None:
    """On AWS the same condition would allow a listing of everything."""
    for name, users in USERS.items():
        named = [grant for grant in grants(good(users)) if "s3:max-keys" in grant.condition]
        with_prefix = ("prefixes", "revoked", "tenant", "strict prefixes", "readers")
        assert bool(named) == (name in with_prefix), name


def test_a_policy_of_many_users_is_small() -> None:
    """AWS allows 20 KB. docs/servers.md names the number of users."""
    users = [UserAccess(f"arn:aws:iam::123456789012:user/machine{n:02}", f"machine{n:02}/") for n in range(11)]
    assert len(json.dumps(good(users), separators=(",", ":"))) < 20 << 10


@pytest.mark.parametrize("users", USERS.values(), ids=USERS)
def test_statement_ids_are_unique(users: list[UserAccess]) -> None:
    ids = [each["Sid"] for each in good(users)["Statement"]]
    assert len(ids) == len(set(ids))
    assert all(name.isalnum() for name in ids)


def test_the_policy_is_json() -> None:
    assert json.loads(json.dumps(good())) == good()


def test_the_probe_denies_one_harmless_action() -> None:
    (grant,) = grants(probe_policy(BUCKET, ADMIN))
    assert grant == ("Deny", ADMIN, "s3:listbucketversions", ON_BUCKET, "")
