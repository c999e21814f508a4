"""Policies: what is meant counts, not how it is written; and whatever differs from what is desired is told."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwm.errors import UsageError
from rwm.s3 import Policy
from rwm.storage.policy import (
    DENIED_BUCKET_ACTIONS,
    DENIED_OBJECT_ACTIONS,
    NOBODY,
    PUBLISHING_HEADERS,
    USER_BUCKET_ACTIONS,
    USER_OBJECT_ACTIONS,
    admin_principal,
    desired,
    form_probe,
    grants,
    policy_drift,
    principal_forms,
    principals,
    settings_drift,
    user_id,
    user_principal,
    users_of,
)

ADMIN = "arn:aws:iam:::user/admin"
USER = "arn:aws:iam:::user/user1"
STRANGER = "arn:aws:iam:::user/user2"
T1_ADMIN = "arn:aws:iam::t1:user/admin"
CANONICAL = "75aa57f09aa0c8caeab4f8c24e99d10f8e7faeebf76c078efc7c6caea54ba06a"
BUCKET = "bucket1"
ON_BUCKET, ON_OBJECTS = "arn:aws:s3:::bucket1", "arn:aws:s3:::bucket1/*"


def good() -> Policy:
    return copy.deepcopy(desired(BUCKET, ADMIN, USER))


def drift(policy: Policy | None) -> list[tuple[str, str]]:
    return [(item.code, item.detail) for item in policy_drift(policy, BUCKET, "admin")]


def codes(policy: Policy) -> set[str]:
    return {code for code, _ in drift(policy)}


def statement(policy: Policy, sid: str) -> dict[str, Any]:
    (found,) = [item for item in policy["Statement"] if item["Sid"] == sid]
    assert isinstance(found, dict)
    return found


def plus(*statements: object) -> Policy:
    """The desired policy and these statements."""
    policy = good()
    policy["Statement"] += statements
    return policy


EXTRA = {"policy-extra-statement"}
MISSING = {"policy-missing-statement"}


# --- what is desired -----------------------------------------------------------------------------------


def test_the_user_may_not_remove_a_version_or_change_what_protects_it() -> None:
    allowed = {grant.action for grant in grants(good()) if grant.principal == USER and grant.effect == "Allow"}
    assert allowed == {action.lower() for action in USER_BUCKET_ACTIONS + USER_OBJECT_ACTIONS}
    denied = {action.lower() for action in DENIED_BUCKET_ACTIONS + DENIED_OBJECT_ACTIONS}
    assert not allowed & denied
    for word in ("version", "policy", "acl", "lifecycle", "retention", "hold", "tagging", "lock"):
        assert not [action for action in allowed if word in action and not action.startswith(("s3:get", "s3:list"))]
    assert "s3:getobjectversion" not in allowed


def test_what_a_stolen_key_would_be_used_for_is_denied_explicitly() -> None:
    denied = {grant.action for grant in grants(good()) if grant.effect == "Deny" and not grant.condition}
    for action in ("DeleteObjectVersion", "PutBucketVersioning", "PutBucketPolicy", "PutLifecycleConfiguration",
                   "PutObjectRetention", "BypassGovernanceRetention", "PutObjectAcl", "DeleteBucket"):  # fmt: skip
        assert f"s3:{action}".lower() in denied


def test_the_admin_may_do_everything_or_rgw_would_refuse_it_what_the_user_wrote() -> None:
    mighty = {grant.resource for grant in grants(good()) if grant.principal == ADMIN and grant.action == "s3:*"}
    assert mighty == {ON_BUCKET, ON_OBJECTS}


@pytest.mark.parametrize(
    "header", ["acl", *(f"grant-{who}" for who in ("read", "write", "read-acp", "write-acp", "full-control"))]
)
def test_no_header_of_a_put_may_publish(header: str) -> None:
    """Each is denied by itself: the conditions of one statement would all have to hold."""
    condition = json.dumps({"StringLike": {f"s3:x-amz-{header}": ["?*"]}})
    assert ("Deny", USER, "s3:putobject", ON_OBJECTS, condition) in grants(good())


def test_it_is_json() -> None:
    assert json.loads(json.dumps(good())) == good()


# --- the same, written otherwise -----------------------------------------------------------------------


def reshaped(policy: Policy, draw: random.Random) -> Policy:
    """The same policy as another tool might have written it."""
    statements = []
    for item in policy["Statement"]:
        for part in split(dict(item), draw):
            part.pop("Sid")
            if draw.random() < 0.5:
                part["Sid"] = f"s{draw.random()}"
            for name in ("Action", "Resource"):
                part[name] = rewritten(part[name], draw)
            part["Action"] = recased(part["Action"], draw)
            part["Principal"] = {"AWS": rewritten(part["Principal"]["AWS"], draw)}
            if "Condition" in part:
                ((header, _),) = part["Condition"]["StringLike"].items()
                part["Condition"] = {"StringLike": {header: draw.choice(["?*", ["?*"]])}}
            statements.append(dict(draw.sample(list(part.items()), len(part))))
    if draw.random() < 0.5:
        statements.append(dict(draw.choice(statements)))
    draw.shuffle(statements)
    return {"Id": "whatever", "Version": "2012-10-17", "Statement": statements}


def split(item: dict[str, Any], draw: random.Random) -> list[dict[str, Any]]:
    """One statement, or two that share its actions."""
    if len(item["Action"]) < 2 or draw.random() < 0.5:
        return [item]
    at = draw.randrange(1, len(item["Action"]))
    return [{**item, "Action": item["Action"][:at]}, {**item, "Action": item["Action"][at:]}]


def rewritten(values: list[str], draw: random.Random) -> list[str] | str:
    if len(values) == 1 and draw.random() < 0.5:
        return values[0]
    return draw.sample(values, len(values)) + (values[:1] if draw.random() < 0.3 else [])


def recased(actions: list[str] | str, draw: random.Random) -> list[str] | str:
    def one(action: str) -> str:
        return draw.choice([action, action.upper(), action.lower()])

    return one(actions) if isinstance(actions, str) else [one(action) for action in actions]


@given(draw=st.randoms(use_true_random=False))
def test_however_it_is_written_the_desired_policy_has_no_drift(draw: random.Random) -> None:
    assert drift(reshaped(good(), draw)) == []


@given(draw=st.randoms(use_true_random=False))
def test_whatever_is_taken_away_is_told(draw: random.Random) -> None:
    policy = reshaped(good(), draw)
    victim = draw.choice(sorted(grants(policy)))
    rest = [grant for grant in grants(policy) if grant != victim]
    thinner = {
        "Statement": [
            {
                "Effect": grant.effect,
                "Principal": {"AWS": grant.principal},
                "Action": grant.action,
                "Resource": grant.resource,
                **({"Condition": json.loads(grant.condition)} if grant.condition else {}),
            }
            for grant in rest
        ]
    }
    ((code, detail),) = drift(thinner)
    assert code == "policy-missing-statement"
    assert victim.action in detail
    assert victim.principal in detail


whos = st.sampled_from(
    ["*", {"AWS": "*"}, {"AWS": ["*"]}, {"AWS": USER}, {"AWS": [STRANGER]}, {"CanonicalUser": "79a5"}, "user1", None]
)


@given(
    principal=whos,
    no=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    action=st.sampled_from(["s3:*", "*", "S3:GetObjectTorrent", "s3:Delete*", ["s3:PutBucketPolicy"]]),
    resource=st.sampled_from(["*", ON_BUCKET, [ON_OBJECTS], "arn:aws:s3:::bucket1/data/*"]),
    effect=st.sampled_from(["Allow", "Deny"]),
    condition=st.sampled_from([None, {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, {"Bool": "odd"}, "odd"]),
)
def test_whatever_is_added_is_told(
    principal: object, no: tuple[bool, bool, bool], action: object, resource: object, effect: str, condition: object
) -> None:
    added: dict[str, Any] = {"Effect": effect}
    if principal is not None:
        added["NotPrincipal" if no[0] else "Principal"] = principal
    added["NotAction" if no[1] else "Action"] = action
    added["NotResource" if no[2] else "Resource"] = resource
    if condition is not None:
        added["Condition"] = condition
    policy = plus(added)
    assert codes(policy) == EXTRA
    ((_, detail),) = drift(policy)
    assert effect in detail


# --- one shape at a time -----------------------------------------------------------------------------------


def test_no_policy_at_all() -> None:
    ((code, _),) = drift(None)
    assert code == "policy-missing"


@pytest.mark.parametrize("policy", [{}, {"Statement": []}, {"Version": "2012-10-17", "Statement": []}])
def test_a_policy_that_says_nothing(policy: Policy) -> None:
    assert codes(policy) == {"policy-no-user"}


def test_a_policy_for_the_admin_alone() -> None:
    policy = good()
    policy["Statement"] = [statement(policy, "RwmAdmin")]
    assert codes(policy) == {"policy-no-user"}


def test_a_single_statement_that_is_no_list() -> None:
    everybody = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*"}
    assert {"policy-extra-statement"} <= codes({"Statement": everybody})
    assert "Allow s3:* on * to *" in drift({"Statement": everybody})[-1][1]
    own = {"Statement": statement(good(), "RwmUserObjects")}
    assert codes(own) == MISSING


@pytest.mark.parametrize("odd", ["Allow everything", 7, None, ["x"]])
def test_a_statement_that_is_none_is_told(odd: object) -> None:
    assert codes(plus(odd)) == EXTRA
    assert drift({"Statement": odd})


def test_the_attacker_allows_itself_everything() -> None:
    policy = plus(
        {"Effect": "Allow", "Principal": {"AWS": USER}, "Action": "s3:*", "Resource": [ON_BUCKET, ON_OBJECTS]}
    )
    found = drift(policy)
    assert {code for code, _ in found} == EXTRA
    assert [detail for _, detail in found] == [
        f"not intended: Allow s3:* on {ON_BUCKET} to {USER}",
        f"not intended: Allow s3:* on {ON_OBJECTS} to {USER}",
    ]


def test_the_attacker_comes_before_the_admin_in_the_alphabet() -> None:
    """Who is the admin is told by the bucket's owner, not by who claims to be mighty."""
    policy = desired(BUCKET, "arn:aws:iam:::user/root", USER)
    policy["Statement"] += [{"Effect": "Allow", "Principal": {"AWS": USER}, "Action": "s3:*", "Resource": ON_OBJECTS}]
    found = policy_drift(policy, BUCKET, "root")
    assert [item.code for item in found] == ["policy-extra-statement"]
    assert USER in found[0].detail


def test_a_second_user_is_not_intended() -> None:
    policy = good()
    statement(policy, "RwmUserObjects")["Principal"]["AWS"].append(STRANGER)
    found = drift(policy)
    assert {code for code, _ in found} == EXTRA
    assert all(STRANGER in detail and USER not in detail for _, detail in found)


def test_each_removed_deny_is_missing() -> None:
    sids = {item["Sid"] for item in good()["Statement"] if item["Effect"] == "Deny"}
    assert len(sids) == 2 + len(PUBLISHING_HEADERS)
    for sid in ("RwmAdmin", *sids):
        policy = good()
        policy["Statement"].remove(statement(policy, sid))
        assert codes(policy) == MISSING, sid


@pytest.mark.parametrize("action", DENIED_BUCKET_ACTIONS + DENIED_OBJECT_ACTIONS)
def test_each_action_that_is_no_longer_denied_is_named(action: str) -> None:
    policy = good()
    for item in policy["Statement"]:
        if item["Effect"] == "Deny" and action in item["Action"]:
            item["Action"].remove(action)
    ((code, detail),) = drift(policy)
    assert code == "policy-missing-statement"
    assert f"Deny {action.lower()} " in detail


def test_a_deny_that_was_turned_into_an_allow_is_both() -> None:
    policy = good()
    statement(policy, "RwmUserObjectsDenied")["Effect"] = "Allow"
    assert codes(policy) == MISSING | EXTRA


def test_a_deny_on_something_else_is_both() -> None:
    policy = good()
    statement(policy, "RwmUserObjectsDenied")["Resource"] = ["arn:aws:s3:::bucket1/data/*"]
    assert codes(policy) == MISSING | EXTRA


@pytest.mark.parametrize("name", ["Principal", "Action", "Resource"])
def test_the_not_forms_mean_the_opposite(name: str) -> None:
    policy = good()
    denied = statement(policy, "RwmUserObjectsDenied")
    denied[f"Not{name}"] = denied.pop(name)
    assert codes(policy) == MISSING | EXTRA
    assert any(f"Not{name}:" in detail or f"not{name.lower()}:" in detail for _, detail in drift(policy))


def test_a_condition_weakens_a_deny() -> None:
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
def test_another_condition_is_another_statement(condition: object) -> None:
    policy = good()
    statement(policy, "RwmUserPublishDeniedAcl")["Condition"] = condition
    assert codes(policy) == MISSING | EXTRA


def test_actions_that_share_the_rest_are_told_in_one_line() -> None:
    policy = good()
    policy["Statement"].remove(statement(policy, "RwmUserObjectsDenied"))
    ((_, detail),) = drift(policy)
    assert all(action.lower() in detail for action in DENIED_OBJECT_ACTIONS)


def test_a_policy_of_another_bucket_differs() -> None:
    assert {item.code for item in policy_drift(good(), "bucket2", "admin")} == MISSING | EXTRA


def test_an_unknown_owner_is_found_by_what_it_may_do() -> None:
    """On AWS the owner's id cannot be in the policy."""
    assert policy_drift(good(), BUCKET, CANONICAL) == []
    policy = good()
    policy["Statement"].remove(statement(policy, "RwmAdmin"))
    (missing, *_) = policy_drift(policy, BUCKET, CANONICAL)
    assert missing.detail == f"missing: Allow s3:* on {ON_BUCKET} to the bucket's owner"


def test_an_owner_that_cannot_be_told_is_drift_and_no_more_is_guessed() -> None:
    assert [item.code for item in policy_drift(good(), BUCKET, "")] == ["ownership"]
    assert [item.code for item in policy_drift({}, BUCKET, "")] == ["ownership", "policy-no-user"]


@pytest.mark.parametrize("owner", ["admin", "t1$admin", "79a59df900b949e5", "0" * 12, CANONICAL.upper()])
def test_the_machines_account_in_the_place_of_the_admin(owner: str) -> None:
    """Who may do everything and is not the owner is no admin, however well the rest fits."""
    found = policy_drift(desired(BUCKET, USER, STRANGER), BUCKET, owner)
    assert {item.code for item in found} == MISSING | EXTRA
    for resource in (ON_BUCKET, ON_OBJECTS):
        assert f"not intended: Allow s3:* on {resource} to {USER}" in [item.detail for item in found]


@pytest.mark.parametrize(
    "who", ["admin", f"NotPrincipal:{ADMIN}", "arn:aws:iam:::role/admin", "arn:aws:iam::t1:user/admin"]
)
def test_what_looks_like_the_owner_is_not_the_owner(who: str) -> None:
    policy = desired(BUCKET, who, USER)
    mighty = statement(policy, "RwmAdmin")
    if who.startswith("Not"):
        mighty["NotPrincipal"] = {"AWS": [ADMIN]}
        del mighty["Principal"]
    assert codes(policy) == MISSING | EXTRA


@pytest.mark.parametrize(
    ("owner", "user", "form"),
    [
        ("admin", USER, ADMIN),
        ("t1$admin", "arn:aws:iam::t1:user/user1", T1_ADMIN),
        ("admin", "arn:aws:iam::000000000000:user/user1", "arn:aws:iam::000000000000:user/admin"),
    ],
)
def test_an_admin_that_is_not_named_is_told_in_the_form_of_the_server(owner: str, user: str, form: str) -> None:
    policy = desired(BUCKET, "x", user)
    policy["Statement"].remove(statement(policy, "RwmAdmin"))
    details = [item.detail for item in policy_drift(policy, BUCKET, owner)]
    assert details == [f"missing: Allow s3:* on {resource} to {form}" for resource in (ON_BUCKET, ON_OBJECTS)]


# --- settings ----------------------------------------------------------------------------------------------


def settings(**changed: Any) -> list[str]:
    values = {
        "versioning": "Enabled",
        "owner": "admin",
        "user_ids": ["user1"],
        "bucket_grants": [("admin", "FULL_CONTROL")],
        "lifecycle": [],
    }
    return [f"{item.code}: {item.detail}" for item in settings_drift(**{**values, **changed})]


def test_settings_of_a_protected_bucket_have_no_drift() -> None:
    assert settings() == []


@pytest.mark.parametrize(("versioning", "word"), [("Suspended", "Suspended"), ("", "off")])
def test_versioning_that_is_not_enabled(versioning: str, word: str) -> None:
    (found,) = settings(versioning=versioning)
    assert found.startswith(f"versioning: versioning is {word}")


def test_a_bucket_that_belongs_to_its_user() -> None:
    (found,) = settings(owner="user1", bucket_grants=[("user1", "FULL_CONTROL")])
    assert found.startswith("ownership: ")


def test_acl_grants_to_anybody_else() -> None:
    everyone = "http://acs.amazonaws.com/groups/global/AllUsers"
    found = settings(bucket_grants=[("admin", "FULL_CONTROL"), ("user1", "WRITE_ACP"), (everyone, "READ")])
    assert found == [
        "acl: the bucket's ACL grants WRITE_ACP to user1",
        f"acl: the bucket's ACL grants READ to {everyone}",
    ]


def test_lifecycle_rules_that_are_not_disabled() -> None:
    rules = [{"ID": "expire", "Status": "Enabled"}, {"ID": "off", "Status": "Disabled"}, {"Filter": {}}]
    found = settings(lifecycle=rules)
    assert [line.partition(":")[0] for line in found] == ["lifecycle"] * 2
    assert "'expire'" in found[0]
    assert "without a name" in found[1]


# --- who is who --------------------------------------------------------------------------------------------

AWS_ADMIN = "arn:aws:iam::123456789012:user/ops/admin"


@pytest.mark.parametrize(
    ("principal", "shown"),
    [
        (USER, "user1"),
        ("arn:aws:iam::t1:user/user1", "t1$user1"),
        ("arn:aws:iam::000000000000:user/user1", "user1"),
        ("arn:aws:iam::123:user/user1", "123$user1"),
        ("arn:aws:iam::1234567890123:user/user1", "1234567890123$user1"),
        (AWS_ADMIN, "admin"),
        ("*", "*"),
        ("79a59df900b949e5", "79a59df900b949e5"),
    ],
)
def test_the_id_of_a_principal(principal: str, shown: str) -> None:
    assert user_id(principal) == shown


@pytest.mark.parametrize(
    ("owner", "caller", "forms"),
    [
        ("admin", None, [ADMIN]),
        ("t1$admin", None, [T1_ADMIN]),
        ("admin", "arn:aws:iam::000000000000:user/admin", ["arn:aws:iam::000000000000:user/admin", ADMIN]),
        ("", AWS_ADMIN, [AWS_ADMIN]),
        ("", None, []),
    ],
)
def test_forms_to_try_for_the_account_that_owns_the_bucket(owner: str, caller: str | None, forms: list[str]) -> None:
    assert principal_forms(owner, caller) == forms


@pytest.mark.parametrize(
    ("admin", "user", "principal"),
    [
        (ADMIN, "user1", USER),
        (T1_ADMIN, "user1", "arn:aws:iam::t1:user/user1"),
        (T1_ADMIN, "t1$user1", "arn:aws:iam::t1:user/user1"),
        ("arn:aws:iam::000000000000:user/admin", "user1", "arn:aws:iam::000000000000:user/user1"),
        (ADMIN, "arn:aws:iam::99:role/backup", "arn:aws:iam::99:role/backup"),
    ],
)
def test_a_user_is_named_in_the_form_that_works_for_the_admin(admin: str, user: str, principal: str) -> None:
    assert user_principal(admin, user) == principal


@pytest.mark.parametrize(("admin", "user"), [(T1_ADMIN, "t2$user1"), (ADMIN, "t1$user1")])
def test_a_user_of_another_tenant_could_not_reach_the_bucket(admin: str, user: str) -> None:
    with pytest.raises(UsageError, match="is not of the tenant"):
        user_principal(admin, user)


@pytest.mark.parametrize("tenant", ["", "t1", "123"])
def test_the_forms_of_rgw_lead_back_to_its_ids(tenant: str) -> None:
    owner = f"{tenant}$admin" if tenant else "admin"
    (admin,) = principal_forms(owner, None)
    user = user_principal(admin, "user1")
    policy = desired(BUCKET, admin, user)
    assert policy_drift(policy, BUCKET, owner) == []
    assert admin_principal(policy, owner) == admin
    assert users_of(policy, owner) == {f"{tenant}$user1" if tenant else "user1"}


def test_the_admin_of_a_policy() -> None:
    assert admin_principal(good(), "admin") == ADMIN
    assert admin_principal(good(), CANONICAL) == ADMIN
    assert admin_principal(good(), "75aa57f09aa0c8ca") == ""
    twelve = "arn:aws:iam::123456789012:user/admin"  # a tenant that looks like an account
    assert admin_principal(desired(BUCKET, twelve, USER), "123456789012$admin") == twelve
    assert admin_principal({"Statement": []}, "admin") == ""
    assert admin_principal({"Statement": [{"Effect": "Deny", "Action": "s3:*"}]}, "admin") == ""


def test_users_of_a_policy() -> None:
    assert users_of(good(), "admin") == {"user1"}
    assert users_of(None, "admin") == set()
    assert users_of(plus({"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject"}), "admin") == {"user1", "*"}


def test_a_statement_that_names_nobody() -> None:
    assert principals({"Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}) == {NOBODY}


def test_a_probe_takes_one_harmless_right_and_gives_none() -> None:
    (grant,) = grants(form_probe(BUCKET, ADMIN))
    assert grant == ("Deny", ADMIN, "s3:listbucketversions", ON_BUCKET, "")
