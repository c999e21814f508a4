"""Principals, ACL ids, and the forms that servers accept."""

from __future__ import annotations

import pytest

from rwm.errors import Refused, UsageError
from rwm.storage.drift import policy_drift
from rwm.storage.policy import protected_policy
from rwm.storage.principals import acl_id, admin_principal, candidate_principals, user_ids, user_principal
from rwm.storage.users import UserAccess
from tests.unit.rwm.storage.policies import ADMIN, BUCKET, CANONICAL, T1_ADMIN, USER, good, plus

AWS_ADMIN = "arn:aws:iam::123456789012:user/ops/admin"


@pytest.mark.parametrize(
    ("principal", "expected"),
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
def test_acl_id(principal: str, expected: str) -> None:
    assert acl_id(principal) == expected


@pytest.mark.parametrize(
    ("owner", "caller", "expected"),
    [
        ("admin", None, [ADMIN, "arn:aws:iam::000000000000:user/admin"]),
        ("t1$admin", None, [T1_ADMIN]),
        ("admin", "arn:aws:iam::000000000000:user/admin", ["arn:aws:iam::000000000000:user/admin", ADMIN]),
        ("", AWS_ADMIN, [AWS_ADMIN]),
        ("", None, []),
    ],
)
def test_candidate_principals(owner: str, caller: str | None, expected: list[str]) -> None:
    assert candidate_principals(owner, caller) == expected


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
def test_user_principal_has_the_form_of_the_admin(admin: str, user: str, principal: str) -> None:
    assert user_principal(admin, user) == principal


@pytest.mark.parametrize(("admin", "user"), [(T1_ADMIN, "t2$user1"), (ADMIN, "t1$user1")])
def test_a_user_of_another_tenant_is_refused(admin: str, user: str) -> None:
    with pytest.raises(UsageError, match="is not of the tenant"):
        user_principal(admin, user)


@pytest.mark.parametrize("user", ["admin", ADMIN])
def test_the_admin_is_no_user(user: str) -> None:
    with pytest.raises(Refused, match="is the admin account itself"):
        user_principal(ADMIN, user)


@pytest.mark.parametrize("tenant", ["", "t1", "123"])
def test_principals_of_rgw_convert_back_to_its_ids(tenant: str) -> None:
    owner = f"{tenant}$admin" if tenant else "admin"
    admin = candidate_principals(owner, None)[0]
    user = user_principal(admin, "user1")
    policy = protected_policy(BUCKET, admin, [UserAccess(user)])
    assert policy_drift(policy, BUCKET, owner) == []
    assert admin_principal(policy, owner) == admin
    assert user_ids(policy, owner) == {f"{tenant}$user1" if tenant else "user1"}


def test_admin_principal() -> None:
    assert admin_principal(good(), "admin") == ADMIN
    assert admin_principal(good(), CANONICAL) == ADMIN
    assert admin_principal(good(), "75aa57f09aa0c8ca") == ""
    twelve = "arn:aws:iam::123456789012:user/admin"  # a tenant that looks like an account
    assert admin_principal(protected_policy(BUCKET, twelve, [UserAccess(USER)]), "123456789012$admin") == twelve
    assert admin_principal({"Statement": []}, "admin") == ""
    assert admin_principal({"Statement": [{"Effect": "Deny", "Action": "s3:*"}]}, "admin") == ""


def test_user_ids() -> None:
    assert user_ids(good(), "admin") == {"user1"}
    assert user_ids(None, "admin") == set()
    assert user_ids(plus({"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject"}), "admin") == {"user1", "*"}


@pytest.mark.parametrize(
    "user",
    ["", "*", "adm*", "ad?in", "a\nb", "\udcff", "arn:aws:iam::*:user/x", "arn:aws:iam::123456789012:root", "arn:x"],
)
@pytest.mark.parametrize("admin", [ADMIN, AWS_ADMIN])
def test_what_may_name_more_than_one_account_is_no_user(admin: str, user: str) -> None:
    # A deny of it could be one of the admin, who then could never change the policy again.
    with pytest.raises(UsageError, match=r"is no user|names no single user or role") as error:
        user_principal(admin, user)
    assert "\n" not in error.value.message
