"""Plan a forget: which snapshots of a repository the rules do not keep. Reads the bucket, changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from rwm.config import Config
from rwm.errors import Refused, RwmError, UsageError
from rwm.forget.choice import Group, choose
from rwm.forget.policy import ForgetPolicy
from rwm.location import Location
from rwm.restic import expected_sha256, parse_snapshots, read_restic
from rwm.s3 import S3
from rwm.s3.listing import group_by_key
from rwm.shell import quote
from rwm.times import SECOND
from rwm.trust import AuditReport

SNAPSHOTS = "snapshots/"
_MAX_NAMED = 5
"""Repositories named in one message."""


@dataclass(frozen=True)
class ForgetPlan:
    """Which snapshots of a repository stay, and which are removed.

    ``unread`` are the names of snapshot files that restic could not read, and those that are younger than the audit:
    they stay.
    """

    repository: Location
    policy: ForgetPolicy
    groups: Sequence[Group]
    unread: tuple[str, ...] = ()
    too_young: tuple[str, ...] = ()

    @property
    def removed(self) -> list[str]:
        """The ids of the snapshots to remove, oldest first in each group."""
        return [one.snapshot.id for group in self.groups for one in group.snapshots if not one.rules]

    @property
    def kept(self) -> int:
        """The number of the snapshots that stay, those that restic cannot read included."""
        judged = sum(bool(one.rules) for group in self.groups for one in group.snapshots)
        return judged + len(self.unread) + len(self.too_young)

    @property
    def late(self) -> list[str]:
        """The ids of the snapshots that are removed only because they were uploaded late."""
        return [one.snapshot.id for group in self.groups for one in group.snapshots if one.is_late]

    @property
    def refused(self) -> list[str]:
        """Why the plan must not be executed; empty if it may."""
        return [
            f"no snapshot of {_describe(group)} would stay, of {len(group.snapshots)}"
            for group in self.groups
            if group.is_emptied
        ]


def _describe(group: Group) -> str:
    host, paths, tags = group.key
    named = {"host": host, "paths": ", ".join(paths), "tags": ", ".join(tags)}
    return "; ".join(f"{name} {value}" for name, value in named.items() if value) or "the repository"


def choose_repository(report: AuditReport) -> Location:
    """The repository that the audited location is or contains. Raises UsageError if it contains several."""
    location = report.audit.location
    roots = [repository.root for repository in report.audit.repositories]
    if location.prefix in roots:
        return location
    if len(roots) > 1:
        named = ", ".join(str(Location(location.bucket, root)) for root in roots[:_MAX_NAMED])
        more = f" and {len(roots) - _MAX_NAMED} more" * (len(roots) > _MAX_NAMED)
        raise UsageError(
            f"{location} has {len(roots)} repositories, each with a password of its own: {named}{more}",
            hint="name one of them",
        )
    return Location(location.bucket, roots[0])


def check_trust(s3: S3, report: AuditReport, repository: Location) -> None:
    """Raise Refused if a removal could be final, or if the audit has an open proof for the repository."""
    versioning = s3.versioning(repository.bucket)
    if versioning != "Enabled":
        raise Refused(
            f"forget of {repository} refused: versioning of the bucket is {versioning or 'off'}",
            hint=f"nothing was removed; `rwm storage check {repository.bucket}` shows what is missing",
        )
    if codes := report.open_proof_codes(repository):
        raise Refused(
            f"forget of {repository} refused: there is a proof of an attack or a fault: {', '.join(codes)}",
            hint=f"nothing was removed; `rwm audit {quote(repository)}` shows the findings and acknowledges what is "
            "honest (--ack)",
        )


def plan_forget(s3: S3, config: Config, report: AuditReport, policy: ForgetPolicy) -> ForgetPlan:
    """Judge every snapshot of the audited repository. What was uploaded after the audit stays.

    Raises Refused if the audit has an open proof, UsageError for several repositories, CommandMissing, ConfigError
    without a password, and RwmError, LockHeld or NotFound if restic fails.
    """
    repository = choose_repository(report)
    check_trust(s3, report, repository)
    uploads = list_uploads(s3, repository)
    text = read_restic(at_repository(config, repository), ["snapshots", "--json", "--no-lock"])
    try:
        known = {one.id: one for one in parse_snapshots(text)}
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise RwmError(f"{repository}: restic's list of snapshots is malformed: {error}") from error
    end = report.audit.now + SECOND
    judged = [(known[name], at) for name, at in uploads.items() if name in known and at < end]
    return ForgetPlan(
        repository,
        policy,
        choose(judged, policy),
        unread=tuple(name for name in uploads if name not in known),
        too_young=tuple(name for name, at in uploads.items() if name in known and at >= end),
    )


def at_repository(config: Config, repository: Location) -> Config:
    """The configuration with another repository."""
    return config.model_copy(update={"restic_bucket": str(repository)})


def list_uploads(s3: S3, repository: Location) -> Mapping[str, int]:
    """The names of the current snapshot files, and when the first version of each was uploaded, in milliseconds.

    A later version, which no restic writes, makes a snapshot no younger.
    """
    uploads: dict[str, int] = {}
    batches = s3.version_batches(repository.bucket, repository.prefix + SNAPSHOTS)
    for history in group_by_key(chain.from_iterable(batches)):
        name = history[0].key.rpartition("/")[2]
        is_snapshot = history[0].key == f"{repository.prefix}{SNAPSHOTS}{name}" and expected_sha256(history[0].key)
        if is_snapshot and not history[0].is_marker:
            uploads[name] = min(version.last_modified for version in history if not version.is_marker)
    return uploads
