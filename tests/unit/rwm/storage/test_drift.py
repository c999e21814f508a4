"""Drift: equal policies have none however they are written, and every difference is reported."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rwm.s3 import Policy
from rwm.storage.drift import policy_drift, settings_drift
from rwm.storage.grants import Grant, grants
from rwm.storage.policy import DENIED_BUCKET_ACTIONS, DENIED_OBJECT_ACTIONS, PUBLISHING_HEADERS, protected_policy
from rwm.storage.policy_users import policy_users
from rwm.storage.users import UserAccess
from tests.unit.rwm.storage.policies import (
    ADMIN,
    BUCKET,
    CANONICAL,
    ON_BUCKET,
    ON_OBJECTS,
    SHARED,
    STRANGER,
    T1_ADMIN,
    USER,
    USERS,
    good,
    plus,
    statement,
)

EXTRA = {"policy-extra-statement"}
MISSING = {"policy-missing-statement"}


def drift(policy: Policy | None) -> list[tuple[str, str]]:
    return [(item.code, item.detail) for item in policy_drift(policy, BUCKET, "admin")]


def codes(policy: Policy) -> set[str]:
    return {code for code, _ in drift(policy)}


# --- equal policies ------------------------------------------------------------------------------------


def rewrite(policy: Policy, draw: random.Random) -> Policy:
    """An equal policy, as another tool might write it."""
    statements = []
    for item in policy["Statement"]:
        for part in split_actions(dict(item), draw):
            part.pop("Sid")
            if draw.random() < 0.5:
                part["Sid"] = f"s{draw.random()}"
            for name in {"Action", "Resource", "NotResource"} & part.keys():
                part[name] = shuffle(part[name], draw)
            part["Action"] = change_case(part["Action"], draw)
            part["Principal"] = {"AWS": shuffle(part["Principal"]["AWS"], draw)}
            if "Condition" in part:
                part["Condition"] = {
                    operator: {key: shuffle(values, draw) for key, values in test.items()}
                    for operator, test in draw.sample([*part["Condition"].items()], len(part["Condition"]))
                }
            statements.append(dict(draw.sample(list(part.items()), len(part))))
    if draw.random() < 0.5:
        statements.append(dict(draw.choice(statements)))
    draw.shuffle(statements)
    return {"Id": "whatever", "Version": "2012-10-17", "Statement": statements}


def split_actions(item: dict[str, Any], draw: random.Random) -> list[dict[str, Any]]:
    """One statement, or two that share its actions."""
    if len(item["Action"]) < 2 or draw.random() < 0.5:
        return [item]
    at = draw.randrange(1, len(item["Action"]))
    return [{**item, "Action": item["Action"][:at]}, {**item, "Action": item["Action"][at:]}]


def shuffle(values: list[str], draw: random.Random) -> list[str] | str:
    if len(values) == 1 and draw.random() < 0.5:
        return values[0]
    return draw.sample(values, len(values)) + (values[:1] if draw.random() < 0.3 else [])


def change_case(actions: list[str] | str, draw: random.Random) -> list[str] | str:
    def change(action: str) -> str:
        return draw.choice([action, action.upper(), action.lower()])

    return change(actions) if isinstance(actions, str) else [change(action) for action in actions]


randoms = st.builds(random.Random, st.integers(0, 1 << 32))
any_users = st.sampled_from([*USERS.values()])


@given(draw=randoms, users=any_users)
def test_an_equal_policy_has_no_drift_and_its_users_are_known(draw: random.Random, users: list[UserAccess]) -> None:
    policy = rewrite(good(users), draw)
    assert drift(policy) == []
    assert policy_users(policy, BUCKET, "admin") == sorted(users)


def as_policy(found: Iterable[Grant]) -> Policy:
    """A policy of exactly these grants."""
    return {"Statement": [as_statement(grant) for grant in found]}


def as_statement(grant: Grant) -> dict[str, Any]:
    found: dict[str, Any] = {"Effect": grant.effect, "Principal": {"AWS": grant.principal}, "Action": grant.action}
    if grant.resource.startswith("NotResource:"):
        found["NotResource"] = json.loads(grant.resource.removeprefix("NotResource:"))
    else:
        found["Resource"] = grant.resource
    return found | ({"Condition": json.loads(grant.condition)} if grant.condition else {})


@given(draw=randoms, users=any_users)
def test_a_removed_grant_is_reported(draw: random.Random, users: list[UserAccess]) -> None:
    all_grants = grants(rewrite(good(users), draw))
    removed = draw.choice(sorted(all_grants))
    ((code, detail),) = drift(as_policy(all_grants - {removed}))
    assert code == "policy-missing-statement"
    assert removed.action in detail
    assert removed.principal in detail


@given(draw=randoms, users=any_users, other=any_users)
def test_a_grant_of_another_policy_is_reported(
    draw: random.Random, users: list[UserAccess], other: list[UserAccess]
) -> None:
    own = grants(good(users))
    more = sorted(grants(good(other)) - own)
    if more:
        added = draw.choice(more)
        found = drift(as_policy([*own, added]))
        assert any(added.action in detail and added.principal in detail for _, detail in found)


def test_users_that_reach_the_same_objects_are_drift() -> None:
    whole = [UserAccess(USER), UserAccess(STRANGER)]
    assert drift(good(whole)) == [
        ("policy-overlap", f"{USER} (whole bucket) and {STRANGER} (whole bucket) reach the same objects")
    ]
    inside = [UserAccess(USER, "a/"), UserAccess(STRANGER, "a/b/")]
    assert drift(good(inside)) == [("policy-overlap", f"{USER} (a/) and {STRANGER} (a/b/) reach the same objects")]
    assert drift(good([*inside, UserAccess("arn:aws:iam:::user/user3", "c/")])) == drift(good(inside))
    third = [UserAccess(USER, "a/"), UserAccess(STRANGER, "b/"), UserAccess("arn:aws:iam:::user/user3", "b/c/")]
    assert [code for code, _ in drift(good(third))] == ["policy-overlap"]
    assert drift(good([UserAccess(USER, "a/"), UserAccess(STRANGER, "a-b/")])) == []
    assert drift(good([UserAccess(USER, "a/"), UserAccess(USER, "a/b/")])) == [], "of one user"


def test_what_is_excluded_cannot_be_divided() -> None:
    """Two statements that deny all but one thing each deny everything."""
    policy = good(SHARED)
    (outside,) = [each for each in policy["Statement"] if each["Sid"] == "RwmPrefix2OutsideDenied"]
    policy["Statement"].remove(outside)
    policy["Statement"] += [{**outside, "NotResource": [value]} for value in outside["NotResource"]]
    assert codes(policy) == MISSING | EXTRA


def test_a_user_that_may_also_write_elsewhere_keeps_its_prefix() -> None:
    policy = good(SHARED)
    policy["Statement"].append(
        {"Effect": "Allow", "Principal": {"AWS": USER}, "Action": "s3:PutObject", "Resource": f"{ON_BUCKET}/host2/*"}
    )
    assert drift(policy) == [
        ("policy-extra-statement", f"not intended: Allow s3:putobject on {ON_BUCKET}/host2/* to {USER}")
    ]
    assert policy_users(policy, BUCKET, "admin") == sorted(SHARED)


principal_values = st.sampled_from(
    ["*", {"AWS": "*"}, {"AWS": ["*"]}, {"AWS": USER}, {"AWS": [STRANGER]}, {"CanonicalUser": "79a5"}, "user1", None]
)


@example(
    principal={"AWS": USER},
    inverse=(False, False, False),
    action=["s3:PutBucketPolicy"],
    resource=ON_BUCKET,
    effect="Deny",
    condition=None,
)
@given(
    principal=principal_values,
    inverse=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    action=st.sampled_from(["s3:*", "*", "S3:GetObjectTorrent", "s3:Delete*", ["s3:PutBucketPolicy"]]),
    resource=st.sampled_from(["*", ON_BUCKET, [ON_OBJECTS], "arn:aws:s3:::bucket1/data/*"]),
    effect=st.sampled_from(["Allow", "Deny"]),
    condition=st.sampled_from([None, {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, {"Bool": "odd"}, "odd"]),
)
def test_an_added_grant_is_reported(
    principal: object,
    inverse: tuple[bool, bool, bool],
    action: object,
    resource: object,
    effect: str,
    condition: object,
) -> None:
    added: dict[str, Any] = {"Effect": effect}
    if principal is not None:
        added["NotPrincipal" if inverse[0] else "Principal"] = principal
    added["NotAction" if inverse[1] else "Action"] = action
    added["NotResource" if inverse[2] else "Resource"] = resource
    if condition is not None:
        added["Condition"] = condition
    policy = plus(added)
    if grants(policy) == grants(good()):  # the protected policy has this grant already
        assert drift(policy) == []
        return
    if (effect, action, condition, any(inverse)) == ("Deny", "s3:*", None, False) and codes(policy) == MISSING:
        return  # it is one of the two denies of a user whose access was revoked
    assert codes(policy) == EXTRA
    ((_, detail),) = drift(policy)
    assert effect in detail


# --- single differences --------------------------------------------------------------------------------


def test_a_missing_policy() -> None:
    ((code, _),) = drift(None)
    assert code == "policy-missing"


@pytest.mark.parametrize("policy", [{}, {"Statement": []}, {"Version": "2012-10-17", "Statement": []}])
def test_a_policy_without_statements(policy: Policy) -> None:
    assert codes(policy) == {"policy-no-user"}


def test_a_policy_for_the_admin_alone() -> None:
    policy = good()
    policy["Statement"] = [statement(policy, "RwmAdmin")]
    assert codes(policy) == {"policy-no-user"}


def test_a_single_statement_instead_of_a_list() -> None:
    everybody = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*"}
    assert {"policy-extra-statement"} <= codes({"Statement": everybody})
    assert "Allow s3:* on * to *" in drift({"Statement": everybody})[-1][1]
    own = {"Statement": statement(good(), "RwmUserObjects")}
    assert codes(own) == MISSING


@pytest.mark.parametrize("odd", ["Allow everything", 7, None, ["x"]])
def test_an_invalid_statement_is_reported(odd: object) -> None:
    assert codes(plus(odd)) == EXTRA
    assert drift({"Statement": odd})


def test_a_user_that_is_allowed_everything() -> None:
    policy = plus(
        {"Effect": "Allow", "Principal": {"AWS": USER}, "Action": "s3:*", "Resource": [ON_BUCKET, ON_OBJECTS]}
    )
    found = drift(policy)
    assert {code for code, _ in found} == EXTRA
    assert [detail for _, detail in found] == [
        f"not intended: Allow s3:* on {ON_BUCKET} to {USER}",
        f"not intended: Allow s3:* on {ON_OBJECTS} to {USER}",
    ]


def test_the_admin_is_the_owner_not_whoever_is_allowed_everything() -> None:
    """Also when the attacker comes first in the alphabet."""
    policy = protected_policy(BUCKET, "arn:aws:iam:::user/root", [UserAccess(USER)])
    policy["Statement"] += [{"Effect": "Allow", "Principal": {"AWS": USER}, "Action": "s3:*", "Resource": ON_OBJECTS}]
    found = policy_drift(policy, BUCKET, "root")
    assert [item.code for item in found] == ["policy-extra-statement"]
    assert USER in found[0].detail


def test_a_second_user_is_drift() -> None:
    policy = good()
    statement(policy, "RwmUserObjects")["Principal"]["AWS"].append(STRANGER)
    found = drift(policy)
    assert {code for code, _ in found} == EXTRA
    assert all(STRANGER in detail and USER not in detail for _, detail in found)


def test_a_removed_statement_is_missing() -> None:
    sids = {item["Sid"] for item in good()["Statement"] if item["Effect"] == "Deny"}
    assert len(sids) == 5 + len(PUBLISHING_HEADERS)
    for sid in ("RwmAdmin", *sids):
        policy = good()
        policy["Statement"].remove(statement(policy, sid))
        assert codes(policy) == MISSING, sid


@pytest.mark.parametrize("action", DENIED_BUCKET_ACTIONS + DENIED_OBJECT_ACTIONS)
def test_an_action_that_is_no_longer_denied_is_named(action: str) -> None:
    policy = good()
    for item in policy["Statement"]:
        if item["Effect"] == "Deny" and action in item["Action"]:
            item["Action"].remove(action)
    ((code, detail),) = drift(policy)
    assert code == "policy-missing-statement"
    assert f"Deny {action.lower()} " in detail


def test_an_allow_instead_of_a_deny_is_missing_and_extra() -> None:
    policy = good()
    statement(policy, "RwmUserObjectsDenied")["Effect"] = "Allow"
    assert codes(policy) == MISSING | EXTRA


def test_another_resource_is_missing_and_extra() -> None:
    policy = good()
    statement(policy, "RwmUserObjectsDenied")["Resource"] = ["arn:aws:s3:::bucket1/data/*"]
    assert codes(policy) == MISSING | EXTRA


@pytest.mark.parametrize("name", ["Principal", "Action", "Resource"])
def test_inverse_elements_are_another_grant(name: str) -> None:
    policy = good()
    denied = statement(policy, "RwmUserObjectsDenied")
    denied[f"Not{name}"] = denied.pop(name)
    assert codes(policy) == MISSING | EXTRA
    assert any(f"Not{name}:" in detail or f"not{name.lower()}:" in detail for _, detail in drift(policy))


def test_an_added_condition_is_another_grant() -> None:
    policy = good()
    statement(policy, "RwmUserObjectsDenied")["Condition"] = {"StringEquals": {"aws:UserAgent": "nobody"}}
    assert codes(policy) == MISSING | EXTRA


@pytest.mark.parametrize(
    "condition",
    [
        {"StringLike": {"s3:x-amz-acl": ["public-*"]}},
        {"StringLike": {"s3:x-amz-acl": ["?*", "x"]}},
        {"StringEquals": {"s3:x-amz-acl": ["?*"]}},
        {"StringLike": {"s3:x-amz-acl": ["?*"]}, "Bool": {"aws:SecureTransport": "false"}},
        {"StringLike": {"s3:x-amz-acl": ["?*"], "aws:UserAgent": ["x"]}},
        {"StringLike": "odd"},
        "odd",
        {},
    ],
)
def test_a_changed_condition_is_another_grant(condition: object) -> None:
    policy = good()
    statement(policy, "RwmUserPublishDeniedAcl")["Condition"] = condition
    assert codes(policy) == MISSING | EXTRA


def test_actions_with_equal_scope_are_one_drift() -> None:
    policy = good()
    policy["Statement"].remove(statement(policy, "RwmUserObjectsDenied"))
    ((_, detail),) = drift(policy)
    assert all(action.lower() in detail for action in DENIED_OBJECT_ACTIONS)


def test_a_policy_of_another_bucket_differs() -> None:
    assert {item.code for item in policy_drift(good(), "bucket2", "admin")} == MISSING | EXTRA


def test_an_owner_with_a_canonical_id_is_whoever_is_allowed_everything() -> None:
    """On AWS the owner's id cannot be compared with principals."""
    assert policy_drift(good(), BUCKET, CANONICAL) == []
    policy = good()
    policy["Statement"].remove(statement(policy, "RwmAdmin"))
    (missing, *_) = policy_drift(policy, BUCKET, CANONICAL)
    assert missing.detail == f"missing: Allow s3:* on {ON_BUCKET} to the bucket's owner"


def test_an_unknown_owner_is_drift() -> None:
    assert [item.code for item in policy_drift(good(), BUCKET, "")] == ["ownership"]
    assert [item.code for item in policy_drift({}, BUCKET, "")] == ["ownership", "policy-no-user"]


@pytest.mark.parametrize("owner", ["admin", "t1$admin", "79a59df900b949e5", "0" * 12, CANONICAL.upper()])
def test_an_admin_that_is_not_the_owner_is_drift(owner: str) -> None:
    """Whatever else the policy says."""
    found = policy_drift(protected_policy(BUCKET, USER, [UserAccess(STRANGER)]), BUCKET, owner)
    assert {item.code for item in found} == MISSING | EXTRA
    for resource in (ON_BUCKET, ON_OBJECTS):
        assert f"not intended: Allow s3:* on {resource} to {USER}" in [item.detail for item in found]


@pytest.mark.parametrize(
    "who", ["admin", f"NotPrincipal:{ADMIN}", "arn:aws:iam:::role/admin", "arn:aws:iam::t1:user/admin"]
)
def test_a_principal_similar_to_the_owner_is_drift(who: str) -> None:
    policy = protected_policy(BUCKET, who, [UserAccess(USER)])
    allowed = statement(policy, "RwmAdmin")
    if who.startswith("Not"):
        allowed["NotPrincipal"] = {"AWS": [ADMIN]}
        del allowed["Principal"]
    assert codes(policy) == MISSING | EXTRA


@pytest.mark.parametrize(
    ("owner", "user", "expected"),
    [
        ("admin", USER, ADMIN),
        ("t1$admin", "arn:aws:iam::t1:user/user1", T1_ADMIN),
        ("admin", "arn:aws:iam::000000000000:user/user1", "arn:aws:iam::000000000000:user/admin"),
    ],
)
def test_a_missing_admin_is_named_in_the_form_of_the_server(owner: str, user: str, expected: str) -> None:
    policy = protected_policy(BUCKET, "x", [UserAccess(user)])
    policy["Statement"].remove(statement(policy, "RwmAdmin"))
    details = [item.detail for item in policy_drift(policy, BUCKET, owner)]
    assert details == [f"missing: Allow s3:* on {resource} to {expected}" for resource in (ON_BUCKET, ON_OBJECTS)]


# --- settings ------------------------------------------------------------------------------------------


def settings(**changed: Any) -> list[str]:
    values = {
        "versioning": "Enabled",
        "owner": "admin",
        "user_ids": ["user1"],
        "bucket_grants": [("admin", "FULL_CONTROL")],
        "lifecycle": [],
    }
    return [f"{item.code}: {item.detail}" for item in settings_drift(**{**values, **changed})]


def test_protected_settings_have_no_drift() -> None:
    assert settings() == []


@pytest.mark.parametrize(("versioning", "word"), [("Suspended", "Suspended"), ("", "off")])
def test_versioning_must_be_enabled(versioning: str, word: str) -> None:
    (found,) = settings(versioning=versioning)
    assert found.startswith(f"versioning: versioning is {word}")


@pytest.mark.parametrize("users", [["user1"], ["user0", "user1", "user2"]])
def test_no_user_may_own_the_bucket(users: list[str]) -> None:
    (found,) = settings(owner="user1", user_ids=users, bucket_grants=[("user1", "FULL_CONTROL")])
    assert found.startswith("ownership: ")


def test_acl_grants_to_others() -> None:
    everyone = "http://acs.amazonaws.com/groups/global/AllUsers"
    found = settings(bucket_grants=[("admin", "FULL_CONTROL"), ("user1", "WRITE_ACP"), (everyone, "READ")])
    assert found == [
        "acl: the bucket's ACL grants WRITE_ACP to user1",
        f"acl: the bucket's ACL grants READ to {everyone}",
    ]


ABORT = {"ID": "abort", "Status": "Enabled", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}}


@pytest.mark.parametrize(
    ("rule", "is_drift"),
    [
        (ABORT, False),
        (ABORT | {"Filter": {"Prefix": "data/"}}, False),
        (ABORT | {"Prefix": ""}, False),
        (ABORT | {"NoncurrentVersionExpiration": {"NoncurrentDays": 1}}, True),
        (ABORT | {"Status": "Disabled", "Expiration": {"Days": 1}}, False),
        ({"Transitions": [{"Days": 1, "StorageClass": "GLACIER"}], "Status": "Enabled"}, True),
        ({"SomethingNew": {}, "Status": "Enabled"}, True),
    ],
)
def test_a_rule_that_only_aborts_uploads_is_no_drift(rule: dict[str, Any], is_drift: bool) -> None:
    assert bool(settings(lifecycle=[rule])) == is_drift


def test_enabled_lifecycle_rules() -> None:
    rules = [{"ID": "expire", "Status": "Enabled"}, {"ID": "off", "Status": "Disabled"}, {"Filter": {}}]
    found = settings(lifecycle=rules)
    assert [line.partition(":")[0] for line in found] == ["lifecycle"] * 2
    assert "'expire'" in found[0]
    assert "without a name" in found[1]
