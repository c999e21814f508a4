"""Users and their prefixes: parsing, grants, revocation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwm.errors import NotFound, Refused, UsageError
from rwm.storage.users import (
    UserAccess,
    describe_change,
    grant,
    overlaps,
    parse_granted_prefix,
    parse_user,
    revoke,
    single_prefix,
)

ARN = "arn:aws:iam::123456789012:user/path/user1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("user1", ("user1", None)),
        ("user1:host1", ("user1", "host1/")),
        ("t1$user1:a/b/", ("t1$user1", "a/b/")),
        (ARN, (ARN, None)),
        (f"{ARN}:host1/", (ARN, "host1/")),
        ("arn:aws:iam:::user/user1:host1", ("arn:aws:iam:::user/user1", "host1/")),
    ],
)
def test_a_user_and_its_prefix(text: str, expected: tuple[str, str | None]) -> None:
    assert parse_user(text) == expected


@pytest.mark.parametrize("text", ["", ":host1/", "user1:", f"{ARN}:", "user1:a//b", "user1:../x", "user1:a:b", "u:a*/"])
def test_a_bad_user_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError):
        parse_user(text)


@pytest.mark.parametrize(
    "text", ["", "a*/", "a?b/", "${aws:username}/", "a\nb/", "a\x7f/", "a:b/", "a\\b/", "/", "rwm/states"]
)
def test_a_prefix_that_a_policy_cannot_name_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_granted_prefix(text)
    assert "\n" not in error.value.message


def test_a_prefix_may_be_given_once() -> None:
    assert single_prefix([None, "a/", None, "a/"]) == "a/"
    assert single_prefix([None]) is None
    with pytest.raises(UsageError, match="two prefixes are given: a/ and b/"):
        single_prefix(["b/", None, "a/"])


def test_a_user_may_have_several_prefixes() -> None:
    users = grant(grant([], "user1", "b/"), "user1", "a/")
    assert users == [UserAccess("user1", "a/"), UserAccess("user1", "b/")]
    assert grant(users, "user1", "a/inner/") == users, "it reaches that already"
    assert grant([UserAccess("user1", "a/inner/")], "user1", "a/") == [UserAccess("user1", "a/")]
    assert grant(users, "user1", "") == [UserAccess("user1")]


def test_a_revoked_user_is_in_nobodys_way_and_may_return() -> None:
    revoked = revoke([UserAccess("user1")], "user1")
    assert revoked == [UserAccess("user1", revoked=True)]
    assert grant(revoked, "user2", "") == [UserAccess("user1", revoked=True), UserAccess("user2")]
    assert grant(revoked, "user1", "a/") == [UserAccess("user1", "a/")]
    assert revoke(revoked, "user1") == revoked
    assert revoke(revoked, "user1", "a/") == revoked


def test_one_prefix_is_revoked() -> None:
    users = [UserAccess("user1", "a/"), UserAccess("user1", "b/"), UserAccess("user2", "c/")]
    assert revoke(users, "user1", "a/") == users[1:]
    assert revoke(users[1:], "user1", "b/") == [UserAccess("user1", revoked=True), UserAccess("user2", "c/")]
    assert revoke(users[1:], "user1", "a/") == users[1:], "safe to repeat"
    with pytest.raises(Refused, match=r"^user1 was not granted a/x/, but: a/$"):
        revoke(users, "user1", "a/x/")
    with pytest.raises(Refused, match=r"^user1 was not granted a/, but: whole bucket$"):
        revoke([UserAccess("user1")], "user1", "a/")
    with pytest.raises(NotFound, match="does not name user3") as error:
        revoke(users, "user3")
    assert error.value.hint == "it names user1, user2"


@given(
    st.lists(st.tuples(st.sampled_from(["u1", "u2", "u3"]), st.sampled_from(["", "a/", "a/b/", "a/b/c/", "ab/", "b/"])))
)
def test_granted_users_never_overlap(requests: list[tuple[str, str]]) -> None:
    users: list[UserAccess] = []
    for user, prefix in requests:
        taken = any(other.user != user and other.overlaps(UserAccess(user, prefix)) for other in users)
        try:
            users = grant(users, user, prefix)
        except UsageError:
            assert taken
        else:
            assert not taken
            assert any(access.user == user and access.covers(prefix) for access in users)
        assert not overlaps(users)
        assert users == sorted(set(users))


def test_a_change_in_words() -> None:
    before, after = (
        [UserAccess("u1", "a/"), UserAccess("u2", "b/")],
        [UserAccess("u1", revoked=True), UserAccess("u2", "b/")],
    )
    assert describe_change(before, after) == ["- u1: a/", "+ u1: revoked"]
