"""The decision about one key: which of its versions and delete markers a prune deletes. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from rwm.model import ObjectVersion

Why = Literal["replaced", "deleted", "hides-nothing"]
"""Why an entry is deleted. A version: what comes after it is another version, or a delete marker. A marker: no older
version of its key stays."""


class Deletion(NamedTuple):
    """One version or delete marker to delete. ``size`` in bytes, 0 for a marker; times in milliseconds.

    ``noncurrent_at`` is when it was replaced or deleted; of a marker that is current its own ``last_modified``.
    """

    key: str
    version_id: str
    size: int
    why: Why = "replaced"
    last_modified: int = 0
    noncurrent_at: int = 0


class KeyPlan(NamedTuple):
    """The decision about one key: what to delete, and how many versions stay.

    Because they are ``kept``: needed by a kept state or the present listing; ``too_young``; or the ``first`` version of
    a name that was written again. ``locked`` are the ids of those that stay only because they are locked.
    """

    versions: list[Deletion]
    markers: list[Deletion]
    kept: int
    too_young: int
    first: int = 0
    locked: tuple[str, ...] = ()


Reason = Literal["needed", "young", "locked", "first", ""]
"""Why a version stays; empty: it does not."""


def plan_key(
    history: Sequence[ObjectVersion],
    kept: set[str],
    cutoff: int,
    is_locked: Callable[[Deletion], bool] = lambda _: False,
    is_proved: Callable[[ObjectVersion], bool] | None = None,
) -> KeyPlan:
    """Decide about one key. Pure but for ``is_locked``, which is asked only about versions that would be deleted.

    ``history`` comes newest first; ``kept`` are version ids that kept states reference. A version is too young when it,
    or its replacement, was written at ``cutoff`` (milliseconds) or later: the replacement may turn out to be an attack.

    ``is_proved`` is None unless restic writes the name once. Then only the first version is surely restic's: it stays
    while any later one stays whose content was not read and found right (``is_proved``).

    A marker is deleted only when no older version of the key stays: otherwise that version would become current, now
    or in a past state. A marker that is too young stays.
    """
    if len(history) == 1 and not history[0].is_marker:  # almost every key
        return KeyPlan([], [], 1, 0)
    oldest_first = list(zip(history, [history[0], *history], strict=False))[::-1]  # each with its successor
    written = [(version, successor) for version, successor in oldest_first if not version.is_marker]
    reasons = {
        version.version_id: _why_kept(version, successor, kept, cutoff, is_locked) for version, successor in written
    }
    if is_proved is not None and len(written) > 1:
        # By time, because SeaweedFS lists a ``null`` version last of its key.
        first = min((version for version, _ in written), key=lambda version: version.last_modified)
        later = [version for version, _ in written if version is not first]
        if any(reasons[version.version_id] and not is_proved(version) for version in later):
            reasons[first.version_id] = reasons[first.version_id] or "first"
    versions: list[Deletion] = []
    markers: list[Deletion] = []
    older_version_stays = False
    for version, successor in oldest_first:
        if version.is_marker:
            if not older_version_stays and not _is_young(version, successor, cutoff):
                markers.append(_delete(version, successor))
        elif reasons[version.version_id]:
            older_version_stays = True
        else:
            versions.append(_delete(version, successor))
    counts = Counter(reasons.values())
    locked = tuple(version_id for version_id, reason in reasons.items() if reason == "locked")
    return KeyPlan(versions, markers, counts["needed"], counts["young"], counts["first"], locked)


def _why_kept(
    version: ObjectVersion,
    successor: ObjectVersion,
    kept: set[str],
    cutoff: int,
    is_locked: Callable[[Deletion], bool],
) -> Reason:
    if version.is_latest or successor is version or version.version_id in kept:
        return "needed"
    if _is_young(version, successor, cutoff):
        return "young"
    return "locked" if is_locked(_delete(version, successor)) else ""


def _is_young(version: ObjectVersion, successor: ObjectVersion, cutoff: int) -> bool:
    return max(version.last_modified, successor.last_modified) >= cutoff


def _delete(version: ObjectVersion, successor: ObjectVersion) -> Deletion:
    why: Why = "hides-nothing" if version.is_marker else "deleted" if successor.is_marker else "replaced"
    return Deletion(version.key, version.version_id, version.size, why, version.last_modified, successor.last_modified)
