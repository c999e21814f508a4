"""The rule about ACLs of objects: versions that others than their owner may read. Pure.

A policy that is in force denies the ACL headers of a PUT. Ceph RGW does not ask it about those of an upload in parts.
So only versions with the ETag of such an upload are sampled (:mod:`rwm.trust.version_sample`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from rwm.model import ObjectVersion
from rwm.phrases import name_some
from rwm.trust.finding import IN_NO_STATE, Finding, Rule

PUBLISHED_OBJECT = Rule(
    "published-object",
    "hint",
    "the ACL of a version lets others read or change it",
    "restic sets no ACL; on Ceph RGW stolen keys publish what they upload in parts, whatever the policy says; what is "
    "published stays encrypted by restic",
)

_GROUPS = {"AllUsers": "everybody", "AuthenticatedUsers": "every account"}


class SampledAcl(NamedTuple):
    """The owner of a version of the sample, and who else has which permission by its ACL."""

    version: ObjectVersion
    owner: str
    grants: list[tuple[str, str]]


def is_in_parts(version: ObjectVersion) -> bool:
    """Whether a version was uploaded in parts, by the form of its ETag."""
    return "-" in version.etag


def judge_acls(root: str, acls: Iterable[SampledAcl], bucket_owner: str) -> Iterator[Finding]:
    """Findings about a sample of the repository at ``root``. Its writer and the owner of the bucket may have grants."""
    for version, owner, grants in acls:
        others = [f"{right} to {_name(who)}" for who, right in sorted(grants) if who not in (owner, bucket_owner)]
        if others:
            detail = f"its ACL grants {name_some(others)}"
            at = version.last_modified
            yield Finding(PUBLISHED_OBJECT, root, version.key, version.version_id, at, detail, *IN_NO_STATE)


def _name(grantee: str) -> str:
    return _GROUPS.get(grantee.rpartition("/")[2], grantee)
