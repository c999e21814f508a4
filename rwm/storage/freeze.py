"""Freeze a bucket: its machines may write and delete nothing until a thaw. Thaw it again.

The index records the former settings before anything changes. From then on the policy follows the record: whatever
was interrupted, or runs at the same time, ends with the policy of the users that are recorded as frozen.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, NamedTuple

from rwm.errors import AccessDenied, NotFound, NotSupported, Refused, S3Error
from rwm.index import Freezes
from rwm.layout import FREEZES_PREFIX
from rwm.location import Location
from rwm.model import Freeze, FrozenUser
from rwm.s3 import S3, Policy
from rwm.storage.frozen import frozen_policy, frozen_users, named_accounts, without_freeze
from rwm.storage.grants import same_policy
from rwm.storage.lifecycle import disabled, is_enabled
from rwm.storage.policy_probe import find_admin_principal
from rwm.storage.policy_users import policy_users
from rwm.storage.policy_write import other_policy, wait_for_other_writers, write_policy
from rwm.storage.principals import admin_principal, expected_admin, user_principal
from rwm.times import iso

_WRITE_SECONDS = 20.0
"""How long to try until the server returns the policy that was written."""


class FreezeResult(NamedTuple):
    """What a freeze or a thaw did. ``warnings`` say what it could not do.

    ``unnamed`` are users that the policy did not name: their names may be wrong, and a server does not tell.
    ``is_former``: a thaw has brought the former policy back, and not only taken the denies away.
    """

    bucket: str
    users: tuple[FrozenUser, ...]
    """Who is frozen now."""
    unnamed: list[str]
    warnings: list[str]
    is_former: bool = True


def freeze_storage(
    s3: S3, freezes: Freezes, location: Location, *, user: str | None = None, reads: bool = True, note: str = ""
) -> FreezeResult:
    """Let the users of a bucket, those that reach a prefix, or one user, write and delete nothing from now on.

    Lifecycle rules are disabled, and the bucket's ACL is made private. Safe to repeat, and to run at the same time.
    Raises Refused if nobody can be frozen, AccessDenied if the policy cannot be written, and RwmError if the server
    does not return the policy that was written.
    """
    bucket = location.bucket
    now = s3.server_time(bucket)
    while True:
        recorded = freezes.get(bucket)
        if recorded and _is_stale(s3.policy(bucket), recorded):
            _forget(freezes, recorded)
            continue
        live = None if recorded else _read_former(s3, bucket)
        known = recorded or live
        assert known is not None
        users = _select(s3, known, location, user)
        frozen = tuple(FrozenUser(each, reads, now, note) for each in users)
        if live:
            freezes.begin(live._replace(users=tuple(each._replace(since=now) for each in live.users) + frozen))
            break
        if freezes.add(bucket, frozen):
            break
    try:
        _follow_record(s3, freezes, bucket)
    except AccessDenied:
        if live and (begun := freezes.get(bucket)):  # nothing was written
            _forget(freezes, begun)
        raise
    warnings = [*_disable_rules(s3, bucket), *_close_acl(s3, bucket)]
    after = freezes.get(bucket)
    result = FreezeResult(bucket, after.users if after else (), _unnamed(known, users), warnings)
    return _record(s3, "freeze", result, known, now, note)


def thaw_storage(
    s3: S3, freezes: Freezes, location: Location, *, user: str | None = None, force: bool = False
) -> FreezeResult:
    """Bring the former policy back for the users of a bucket, those that reach a prefix, or one user.

    With the last one, the lifecycle rules come back too. Safe to repeat. Raises NotFound if nothing is frozen, and
    Refused if the policy was changed meanwhile (``force`` replaces it).
    """
    bucket, now = location.bucket, s3.server_time(location.bucket)
    freeze = freezes.get(bucket)
    if freeze is None:
        return _thaw_unrecorded(s3, location, user, now)
    if not force and not _is_unchanged(s3.policy(bucket), freeze):
        raise Refused(
            f"the policy of bucket {bucket} was changed since it was frozen",
            hint=f"`rwm storage check {bucket}` shows how; --force replaces it by the policy before the freeze",
        )
    if freeze.users:
        chosen = set(_select(s3, freeze, location, user))
        if not chosen & {frozen.user for frozen in freeze.users}:
            raise NotFound(f"{user or location} is not frozen", hint=_who(freeze.users))
        freezes.remove(bucket, chosen)
    _follow_record(s3, freezes, bucket)
    left = freezes.get(bucket)
    warnings = _enable_rules(s3, freeze) if left and not left.users else []
    freezes.end(bucket)
    return _record(s3, "thaw", FreezeResult(bucket, left.users if left else (), [], warnings), freeze, now, "")


def _read_former(s3: S3, bucket: str) -> Freeze:
    """The settings of a bucket before a freeze; with the users of one that this index does not know."""
    policy = s3.policy(bucket)
    rules: list[dict[str, Any]] = []
    with suppress(AccessDenied, NotSupported):  # `_disable_rules` warns
        rules = s3.lifecycle_rules(bucket)
    return Freeze(bucket, _admin(s3, bucket, policy), without_freeze(policy), rules, tuple(frozen_users(policy)))


def _admin(s3: S3, bucket: str, policy: Policy | None) -> str:
    """The admin's principal; empty where the policy does not tell and need not name it (AWS)."""
    if policy is None:
        return find_admin_principal(s3, bucket)
    owner, _ = s3.acl(bucket)
    admin = admin_principal(policy, owner) or s3.caller_arn() or expected_admin(policy, owner)
    return admin if admin.startswith("arn:") else ""


def _select(s3: S3, freeze: Freeze, location: Location, user: str | None) -> list[str]:
    """The principals that a command means. Raises Refused if there are none."""
    if user is not None:
        return [user_principal(freeze.admin, user)]
    users = named_accounts(freeze.policy, freeze.admin)
    users += [frozen.user for frozen in freeze.users if frozen.user not in users]
    if location.prefix:
        owner, _ = s3.acl(location.bucket)
        reached = policy_users(freeze.policy, location.bucket, owner)
        users = sorted({each.user for each in reached if each.reaches(location.prefix)})
    if not users:
        raise Refused(
            f"the policy of bucket {location.bucket} names no account that reaches {location}",
            hint="name the account of the machine: --user USER",
        )
    return users


def _unnamed(freeze: Freeze, users: Iterable[str]) -> list[str]:
    named = named_accounts(freeze.policy, freeze.admin)
    return [user for user in users if user not in named]


def _who(users: Iterable[FrozenUser]) -> str:
    return f"frozen: {', '.join(frozen.user for frozen in users)}"


def _follow_record(s3: S3, freezes: Freezes, bucket: str) -> None:
    """Write the policy until the server returns the one that follows from the record, also after a pause."""
    deadline = time.monotonic() + _WRITE_SECONDS
    settled = False
    while time.monotonic() < deadline:
        freeze = freezes.get(bucket)
        if freeze is None:  # thawed at the same time, and ended
            return
        wanted = frozen_policy(freeze)
        if same_policy(s3.policy(bucket), wanted):
            if settled:
                return
            wait_for_other_writers()
            settled = True
            continue
        settled = False
        write_policy(s3, bucket, wanted)
    raise other_policy(bucket)


def _is_unchanged(policy: Policy | None, freeze: Freeze) -> bool:
    """Whether the policy is the former one or that of the freeze, or one from an interruption between them."""
    rest = without_freeze(policy)
    frozen = without_freeze(frozen_policy(freeze._replace(users=(FrozenUser("arn:aws:iam:::user/x", True, 0, ""),))))
    return same_policy(rest, freeze.policy) or same_policy(rest, frozen)


def _is_stale(policy: Policy | None, freeze: Freeze) -> bool:
    """Whether the bucket was thawed, and got another policy, without this index."""
    return not frozen_users(policy) and not _is_unchanged(policy, freeze)


def _forget(freezes: Freezes, freeze: Freeze) -> None:
    freezes.remove(freeze.bucket, [frozen.user for frozen in freeze.users])
    freezes.end(freeze.bucket)


def _thaw_unrecorded(s3: S3, location: Location, user: str | None, now: int) -> FreezeResult:
    """Take the denies of a freeze from the policy, without a record of what was before."""
    bucket, policy = location.bucket, s3.policy(location.bucket)
    if not (frozen := frozen_users(policy)):
        raise NotFound(f"bucket {bucket} is not frozen")
    if user is not None or location.prefix:
        raise Refused(
            f"this index does not know the freeze of bucket {bucket}: only all of it can be thawed",
            hint="thaw it where it was frozen, or without a user and a prefix",
        )
    rest = without_freeze(policy)
    write_policy(s3, bucket, rest)
    warnings = [
        "this index does not know the freeze: lifecycle rules stay disabled, and statements of the policy that it "
        f"removed are not brought back; a record in the bucket below {FREEZES_PREFIX} has both"
    ]
    former = Freeze(bucket, "", rest, [], tuple(frozen))
    return _record(s3, "thaw", FreezeResult(bucket, (), [], warnings, is_former=False), former, now, "")


def _disable_rules(s3: S3, bucket: str) -> list[str]:
    try:
        rules = s3.lifecycle_rules(bucket)
        if any(map(is_enabled, rules)):
            s3.put_lifecycle_rules(bucket, disabled(rules))
    except (AccessDenied, NotSupported) as error:
        return [f"lifecycle rules may still be enabled: {error.message}"]
    return []


def _close_acl(s3: S3, bucket: str) -> list[str]:
    try:
        owner, granted = s3.acl(bucket)
        others = [f"{permission} to {grantee}" for grantee, permission in granted if grantee != owner]
        if not others:
            return []
        s3.make_private(bucket)
    except (AccessDenied, NotSupported) as error:
        return [f"the ACL of the bucket may let somebody in: {error.message}"]
    return [f"the ACL of the bucket granted {', '.join(others)}: it is private now, and a thaw leaves it so"]


def _enable_rules(s3: S3, freeze: Freeze) -> list[str]:
    """Bring the former lifecycle rules back, unless somebody has changed them since."""
    if not any(map(is_enabled, freeze.lifecycle)):
        return []
    now = s3.lifecycle_rules(freeze.bucket)
    if _text(now) == _text(disabled(freeze.lifecycle)):
        s3.put_lifecycle_rules(freeze.bucket, freeze.lifecycle)
    elif _text(now) != _text(freeze.lifecycle):
        return ["the lifecycle rules were changed since the freeze, and stay as they are"]
    return []


def _text(rules: list[dict[str, Any]]) -> str:
    return json.dumps(rules, sort_keys=True, default=lambda moment: moment.isoformat())


def _record(s3: S3, what: str, result: FreezeResult, former: Freeze, now: int, note: str) -> FreezeResult:
    """Leave a record for people in the bucket, where no machine can write."""
    document = {
        "what": what,
        "at": iso(now),
        "note": note,
        "frozen": [frozen._asdict() | {"since": iso(frozen.since)} for frozen in result.users],
        "policy_before": former.policy,
        "lifecycle_before": json.loads(_text(former.lifecycle)),
    }
    key = f"{FREEZES_PREFIX}{iso(now)}-{what}.json"
    try:
        s3.put(result.bucket, key, json.dumps(document, indent=1).encode())
    except S3Error as error:
        return result._replace(warnings=[*result.warnings, f"no record is left in the bucket: {error.message}"])
    return result
