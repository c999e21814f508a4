"""Protected buckets: create one, check that it still is one, describe it, delete it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from rwm.errors import AccessDenied, BadResponse, NotFound, Refused, RwmError
from rwm.model import ObjectVersion
from rwm.s3 import S3, DeleteFailure, Policy
from rwm.s3.listing import list_histories
from rwm.statefile import STATES_PREFIX
from rwm.storage.policy import (
    Drift,
    desired,
    form_probe,
    grants,
    policy_drift,
    principal_forms,
    principals,
    settings_drift,
    user_principal,
    users_of,
)

_POLICY_PATIENCE = 5.0  # seconds after which a policy counts as without effect: servers cache them
DELETE_CHUNK = 250  # versions to one request: Ceph RGW takes 15 s for 1,000

Progress = Callable[[int], None]


def create_storage(s3: S3, bucket: str, user: str) -> str:
    """Make a versioned bucket that ``user`` may write to but never remove a version from; returns its principal.

    Safe to repeat after an interruption. Raises Refused when the bucket is there and holds something or is protected
    otherwise already, and RwmError when the server does not obey policies.
    """
    if s3.bucket_exists(bucket):
        _must_be_unused(s3, bucket)
    else:
        s3.create_bucket(bucket)
    s3.enable_versioning(bucket)
    admin = _working_form(s3, bucket)
    principal = user_principal(admin, user)
    if principal == admin:
        raise Refused(f"{user} is the admin account itself", hint="name the account of the machine that backs up")
    s3.put_policy(bucket, desired(bucket, admin, principal))
    if drift := check_storage(s3, bucket):
        raise RwmError(f"bucket {bucket} is not as it should be: {'; '.join(item.detail for item in drift)}")
    return principal


def _must_be_unused(s3: S3, bucket: str) -> None:
    policy = s3.policy(bucket)
    if policy and _is_probe(policy, bucket):  # left by a run that was interrupted
        s3.delete_policy(bucket)
    elif policy and check_storage(s3, bucket):
        raise Refused(
            f"bucket {bucket} exists and has a policy of its own",
            hint=f"`rwm storage check {bucket}` shows how it differs from a protected one",
        )
    if next(s3.versions(bucket, page_size=1), None) is not None:
        raise Refused(
            f"bucket {bucket} exists and is not empty: what its history holds could not be trusted",
            hint="create a new bucket and copy into it, or `rwm storage delete` this one",
        )


def _is_probe(policy: Policy, bucket: str) -> bool:
    """Compared by what it says: SeaweedFS returns a list of one as a string."""
    return any(grants(policy) == grants(form_probe(bucket, who)) for who in principals(policy))


def _working_form(s3: S3, bucket: str) -> str:
    """This account's principal in the form that the server obeys, tried by taking a right from ourselves.

    Raises RwmError when no form has an effect: the server ignores policies, and nothing would be protected.
    """
    forms = principal_forms(s3.owner_id(), s3.caller_arn())
    try:
        for form in forms:
            s3.put_policy(bucket, form_probe(bucket, form))
            if _listing_is_denied(s3, bucket, patience=_POLICY_PATIENCE if form == forms[-1] else 1.0):
                return form
    finally:
        s3.delete_policy(bucket)
    raise RwmError(
        f"the server does not obey bucket policies: taking a right from {' or '.join(forms) or 'this account'} "
        f"in bucket {bucket} had no effect",
        hint="RWM needs a server that enforces bucket policies, as Ceph RGW, SeaweedFS and AWS do",
    )


def _listing_is_denied(s3: S3, bucket: str, *, patience: float) -> bool:
    deadline = time.monotonic() + patience
    while True:
        try:
            next(s3.versions(bucket, page_size=1), None)
        except AccessDenied:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)


def check_storage(s3: S3, bucket: str) -> list[Drift]:
    """Every way in which the bucket is not a protected one; empty when all is well.

    What this account may not look at is drift too. Raises NotFound for an unknown bucket.
    """
    looks: dict[str, Callable[[str], Any]] = {
        "versioning": s3.versioning,
        "acl": s3.acl,
        "policy": s3.policy,
        "lifecycle": s3.lifecycle_rules,
    }
    seen: dict[str, Any] = {}
    found: list[Drift] = []
    for name, look in looks.items():
        try:
            seen[name] = look(bucket)
        except AccessDenied as error:
            found.append(Drift("unreadable", f"the {name} cannot be checked: {error.message}"))
    owner, acl_grants = seen.get("acl", ("", []))
    if "policy" in seen:
        found += policy_drift(seen["policy"], bucket, owner)
    return found + settings_drift(
        versioning=seen.get("versioning", "Enabled"),
        owner=owner,
        user_ids=users_of(seen.get("policy"), owner),
        bucket_grants=acl_grants,
        lifecycle=seen.get("lifecycle", []),
    )


@dataclass
class StorageInfo:
    """What a bucket holds. Sizes in bytes; RWM's own objects count like any other."""

    bucket: str
    versioning: str
    objects: int = 0
    bytes: int = 0
    noncurrent_versions: int = 0
    noncurrent_bytes: int = 0
    delete_markers: int = 0
    unfinished_uploads: int = 0
    states: int = 0


def storage_info(s3: S3, bucket: str, progress: Progress = lambda count: None) -> StorageInfo:
    """Count a bucket's contents in one pass, in constant memory."""
    found = StorageInfo(bucket, s3.versioning(bucket) or "off")
    for part in list_histories(s3, bucket, own=True):
        for history in part:
            progress(len(history))
            for version in history:
                _count(found, version)
    found.unfinished_uploads = sum(1 for _ in s3.unfinished_uploads(bucket))
    return found


def _count(found: StorageInfo, version: ObjectVersion) -> None:
    if version.is_marker:
        found.delete_markers += 1
    elif version.is_latest:
        found.objects += 1
        found.bytes += version.size
        found.states += version.key.startswith(STATES_PREFIX)
    else:
        found.noncurrent_versions += 1
        found.noncurrent_bytes += version.size


def delete_storage(s3: S3, bucket: str, progress: Progress = lambda count: None) -> list[DeleteFailure]:
    """Delete a bucket with every version in it.

    Unfinished uploads go first. Stops at the first versions that the server keeps (locked ones) and returns them; the
    bucket stays then. The next listing tells which those are: of a bucket without versioning SeaweedFS confirms no
    version. Raises NotFound for an unknown bucket, and BadResponse when what was deleted stays listed.
    """
    for key, upload, _ in list(s3.unfinished_uploads(bucket)):
        with suppress(NotFound):  # ended meanwhile, or its key has characters that SeaweedFS cannot say
            s3.abort_upload(bucket, key, upload)
    before: list[tuple[str, str]] = []
    failures: list[DeleteFailure] = []
    while page := next(s3.list_pages(bucket, page_size=DELETE_CHUNK)).versions:
        exact = [(version.key, version.version_id) for version in page]
        if kept := [failure for failure in failures if failure[:2] in exact]:
            return kept
        if exact == before:
            raise BadResponse(f"bucket {bucket}: the server still lists {exact[0][0]!r}, which it says is deleted")
        failures = s3.delete_versions(bucket, exact)
        progress(len(page))
        before = exact
    s3.delete_bucket(bucket)
    return []
