"""The decision about one key: which of its versions and delete markers a prune deletes. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from rwm.model import ObjectVersion


class Deletion(NamedTuple):
    """One version or delete marker to delete. ``size`` in bytes, 0 for a marker."""

    key: str
    version_id: str
    size: int


class KeyPlan(NamedTuple):
    """The decision about one key: what to delete, and how many versions stay.

    Because they are ``kept``: needed by a kept state or the present listing; ``too_young``; or the ``first`` version of
    a name that was written again.
    """

    versions: list[Deletion]
    markers: list[Deletion]
    kept: int
    too_young: int
    first: int = 0


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
    replaced_at = [history[0].last_modified, *(version.last_modified for version in history[:-1])]
    oldest_first = list(reversed(list(zip(history, replaced_at, strict=True))))
    written = [(version, replacement) for version, replacement in oldest_first if not version.is_marker]
    reasons = {
        version.version_id: _why_kept(version, replacement, version is history[0], kept, cutoff, is_locked)
        for version, replacement in written
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
    for version, replacement in oldest_first:
        deletion = Deletion(version.key, version.version_id, version.size)
        if version.is_marker:
            if not older_version_stays and max(version.last_modified, replacement) < cutoff:
                markers.append(deletion)
        elif reasons[version.version_id]:
            older_version_stays = True
        else:
            versions.append(deletion)
    counts = Counter(reasons.values())
    return KeyPlan(versions, markers, counts["needed"], counts["young"], counts["first"])


def _why_kept(
    version: ObjectVersion,
    replaced_at: int,
    is_newest: bool,
    kept: set[str],
    cutoff: int,
    is_locked: Callable[[Deletion], bool],
) -> Reason:
    if version.is_latest or is_newest or version.version_id in kept:
        return "needed"
    if max(version.last_modified, replaced_at) >= cutoff:
        return "young"
    return "locked" if is_locked(Deletion(version.key, version.version_id, version.size)) else ""
