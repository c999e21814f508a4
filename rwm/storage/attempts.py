"""Attempts of operations with a machine's own keys: refused, not refused, or cannot be tried."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Literal, NamedTuple

from rwm.errors import AccessDenied, RwmError, S3Error
from rwm.layout import OWN_PREFIX
from rwm.s3 import S3
from rwm.storage.check import WRONG_KEYS

Outcome = Literal["refused", "NOT REFUSED", "cannot be tried"]

_REFUSALS = ("AccessDenied", "403", "Forbidden", "")
"""Error codes of a refusal; HEAD has no body and so no code. A quota or a wrong signature is a 403 too."""


class Attempt(NamedTuple):
    """The outcome of one operation. ``detail`` is the reason, where there is one.

    ``known``: no policy can refuse it on this server.
    """

    operation: str
    outcome: Outcome
    detail: str = ""
    known: bool = False


def probe_key(prefix: str) -> str:
    """A new key below the prefix, in the place of RWM's own objects, which no state has."""
    return f"{prefix}{OWN_PREFIX}probe/{secrets.token_hex(8)}"


def attempt(operation: str, action: Callable[[], object], through: Collection[str] = ()) -> Attempt:
    """Try one operation. ``through`` are error codes of one that was allowed.

    Raises AccessDenied if the server does not accept the keys at all.
    """
    try:
        action()
    except AccessDenied as error:
        if error.code in WRONG_KEYS:
            raise
        if error.code in _REFUSALS:
            return Attempt(operation, "refused")
        return Attempt(operation, "cannot be tried", error.message)
    except S3Error as error:
        if error.code in through:
            return Attempt(operation, "NOT REFUSED", error.code)
        return Attempt(operation, "cannot be tried", error.message)
    return Attempt(operation, "NOT REFUSED")


def remove_leftovers(admin: S3, bucket: str, keys: Iterable[str]) -> list[str]:
    """Remove what attempts left at the keys, with the admin's keys; returns what could not be removed."""
    left = []
    for key in keys:
        try:
            entries = [entry for entry in admin.versions(bucket, key) if entry.key == key]
            pairs = [(entry.key, entry.version_id) for entry in entries]
            left += [f"{failure.key}: {failure.code}" for failure in admin.delete_versions(bucket, pairs)]
            for name, upload, _ in admin.unfinished_uploads(bucket):
                if name == key:
                    admin.abort_upload(bucket, name, upload)
        except RwmError as error:
            left.append(f"{key}: {error.why}")
    return left


def passed(attempts: Sequence[Attempt]) -> list[Attempt]:
    """The attempts that were not refused, without known limits of the server."""
    return [each for each in attempts if each.outcome == "NOT REFUSED" and not each.known]
