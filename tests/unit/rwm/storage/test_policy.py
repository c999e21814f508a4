"""The policy of a protected bucket: what it allows and denies."""

from __future__ import annotations

import json

import pytest

from rwm.storage.grants import grants
from rwm.storage.policy import (
    DENIED_BUCKET_ACTIONS,
    DENIED_OBJECT_ACTIONS,
    USER_BUCKET_ACTIONS,
    USER_OBJECT_ACTIONS,
    probe_policy,
)
from tests.unit.rwm.storage.policies import ADMIN, BUCKET, ON_BUCKET, ON_OBJECTS, USER, good


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


def test_the_policy_is_json() -> None:
    assert json.loads(json.dumps(good())) == good()


def test_the_probe_denies_one_harmless_action() -> None:
    (grant,) = grants(probe_policy(BUCKET, ADMIN))
    assert grant == ("Deny", ADMIN, "s3:listbucketversions", ON_BUCKET, "")
