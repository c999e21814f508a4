"""Probe: try every forbidden operation with a machine's own keys, each in a form that harms nothing if it succeeds.

The machine writes a few small objects below ``rwm/probe/`` and tries to destroy, publish, lock or read back their
versions. Settings are replaced by what they are already. What has no harmless form is not tried, and says so.
"""

from __future__ import annotations

import secrets

from rwm.errors import AccessDenied, RwmError, UsageError
from rwm.layout import ADMIN_PREFIX
from rwm.location import Location
from rwm.s3 import S3
from rwm.storage.attempts import Attempt, attempt, probe_key, remove_leftovers
from rwm.storage.policy_users import policy_users
from rwm.storage.principals import SEAWEEDFS_ACCOUNT, admin_principal, is_aws_account, principal_account
from rwm.storage.probe_trials import ProbeTarget, Trial, trials
from rwm.storage.users import NO_RIGHTS, Rights


def probe_storage(admin: S3, user: S3, place: Location) -> list[Attempt]:
    """Try every operation that a machine must not be able to do below ``place``, and undo what gets through.

    Raises UsageError if both clients have the same keys, and AccessDenied if the machine may not write there at all.
    """
    if admin.settings.credentials == user.settings.credentials:
        raise UsageError("the configuration of the machine has the admin's keys", hint="name that of the machine")
    directory = probe_key(place.prefix)
    outside = probe_key("") if place.prefix else ""
    admin_area = f"{ADMIN_PREFIX}probe/{secrets.token_hex(8)}"
    try:
        target = _prepare(admin, user, place, directory, outside, admin_area)
        found = [_try(trial) for trial in trials(target)]
    finally:
        written = filter(None, (directory, outside, admin_area))
        left = [each for name in written for each in _clean(admin, place.bucket, name)]
    return found + [Attempt("remove what the probe wrote", "cannot be tried", why) for why in left]


def _prepare(admin: S3, user: S3, place: Location, directory: str, outside: str, admin_area: str) -> ProbeTarget:
    key = f"{directory}/object"
    try:
        first = user.put(place.bucket, key, b"1")
    except AccessDenied as error:
        error.hint = f"the probe needs the keys of a machine that may write below {place}: is it frozen?"
        raise
    user.put(place.bucket, key, b"2")
    if outside:
        admin.put(place.bucket, f"{outside}/object", b"1")
    admin.put(place.bucket, f"{admin_area}/object", b"1")
    server, rights = _server(admin, place.bucket), _rights(admin, place)
    return ProbeTarget(admin, user, place, directory, outside, first, server, admin_area, rights)


def _rights(admin: S3, place: Location) -> Rights:
    """What the policy means the machine to be allowed."""
    owner, _ = admin.acl(place.bucket)
    users = policy_users(admin.policy(place.bucket), place.bucket, owner)
    return next((access.rights for access in users if access.covers(place.prefix)), NO_RIGHTS)


def _server(admin: S3, bucket: str) -> str:
    """``rgw``, ``seaweedfs`` or ``aws``, by the form of the admin's principal."""
    owner, _ = admin.acl(bucket)
    account = principal_account(admin_principal(admin.policy(bucket) or {}, owner))
    if account == SEAWEEDFS_ACCOUNT:
        return "seaweedfs"
    return "aws" if is_aws_account(account) else "rgw"


def _try(trial: Trial) -> Attempt:
    if trial.skip:
        return Attempt(trial.operation, "cannot be tried", trial.skip)
    found = attempt(trial.operation, trial.action, trial.through)
    if found.outcome != "NOT REFUSED":
        return found
    detail = trial.limit
    if trial.undo:
        try:
            trial.undo()
        except RwmError as error:
            detail = f"not undone: {error.message}"
    return Attempt(found.operation, found.outcome, detail, known=bool(trial.limit))


def _clean(admin: S3, bucket: str, directory: str) -> list[str]:
    """Remove everything below a directory of the probe."""
    try:
        keys = {entry.key for entry in admin.versions(bucket, f"{directory}/")}
        keys |= {key for key, _, _ in admin.unfinished_uploads(bucket) if key.startswith(f"{directory}/")}
    except RwmError as error:
        return [f"{directory}: {error.message}"]
    return remove_leftovers(admin, bucket, sorted(keys))
