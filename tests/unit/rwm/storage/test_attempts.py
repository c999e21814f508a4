"""Attempts with a machine's keys: what counts as refused."""

from __future__ import annotations

from typing import NoReturn

import pytest

from rwm.errors import AccessDenied, NotFound, S3Error
from rwm.storage.attempts import Attempt, attempt, passed, remove_leftovers
from tests.unit.memory import MemoryS3


def failing(error: S3Error, code: str) -> NoReturn:
    error.code = code
    raise error


@pytest.mark.parametrize(
    ("error", "code", "outcome"),
    [
        (AccessDenied("denied"), "AccessDenied", "refused"),
        (AccessDenied("denied"), "", "refused"),
        (AccessDenied("quota"), "QuotaExceeded", "cannot be tried"),
        (NotFound("gone"), "NoSuchKey", "cannot be tried"),
        (S3Error("not empty"), "BucketNotEmpty", "NOT REFUSED"),
    ],
)
def test_only_a_denial_is_a_refusal(error: S3Error, code: str, outcome: str) -> None:
    assert attempt("x", lambda: failing(error, code), ("BucketNotEmpty",)).outcome == outcome


def test_what_succeeds_was_not_refused() -> None:
    assert attempt("x", lambda: None) == Attempt("x", "NOT REFUSED")


@pytest.mark.parametrize("code", ["InvalidAccessKeyId", "SignatureDoesNotMatch"])
def test_wrong_keys_prove_nothing(code: str) -> None:
    with pytest.raises(AccessDenied):
        attempt("x", lambda: failing(AccessDenied("wrong"), code))


def test_known_limits_of_a_server_have_not_passed() -> None:
    attempts = [Attempt("a", "refused"), Attempt("b", "NOT REFUSED"), Attempt("c", "NOT REFUSED", known=True)]
    assert passed(attempts) == attempts[1:2]


def test_leftovers_are_removed_and_nothing_else() -> None:
    s3 = MemoryS3("bucket1")
    for key in ("probe", "probe", "probe2"):
        s3.put("bucket1", key, b"1")
    assert remove_leftovers(s3, "bucket1", ["probe"]) == []
    assert list(s3.present("bucket1")) == ["probe2"]
    assert not s3.buckets["bucket1"].get("probe")


def test_leftovers_that_stay_are_named() -> None:
    s3 = MemoryS3("bucket1")
    s3.stuck["probe", s3.put("bucket1", "probe", b"1")] = "AccessDenied"
    assert remove_leftovers(s3, "bucket1", ["probe"]) == ["probe: AccessDenied"]
