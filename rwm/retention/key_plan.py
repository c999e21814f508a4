"""The decision about one key: which of its versions and delete markers a prune deletes. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from rwm.model import ObjectVersion


class Deletion(NamedTuple):
    """One version or delete marker to delete. ``size`` in bytes, 0 for a marker."""

    key: str
    version_id: str
    size: int


class KeyPlan(NamedTuple):
    """The decision about one key: what to delete, and how many versions stay because they are needed or too young."""

    versions: list[Deletion]
    markers: list[Deletion]
    kept: int
    too_young: int


def plan_key(
    history: Sequence[ObjectVersion],
    kept: set[str],
    cutoff: int,
    is_locked: Callable[[Deletion], bool] = lambda _: False,
) -> KeyPlan:
    """Decide about one key. Pure but for ``is_locked``, which is asked only about versions that would be deleted.

    ``history`` comes newest first; ``kept`` are version ids that kept states reference. A version is too young when it,
    or its replacement, was written at ``cutoff`` (milliseconds) or later: the replacement may turn out to be an attack.

    A marker is deleted only when no older version of the key stays: otherwise that version would become current, now
    or in a past state. A marker that is too young stays.
    """
    versions: list[Deletion] = []
    markers: list[Deletion] = []
    needed = too_young = 0
    older_version_stays = False
    replaced_at = [history[0].last_modified, *(version.last_modified for version in history[:-1])]
    for version, replacement in reversed(list(zip(history, replaced_at, strict=True))):
        deletion = Deletion(version.key, version.version_id, version.size)
        is_young = max(version.last_modified, replacement) >= cutoff
        if version.is_marker:
            if not older_version_stays and not is_young:
                markers.append(deletion)
            continue
        if version.is_latest or version is history[0] or version.version_id in kept:
            needed += 1
        elif is_young:
            too_young += 1
        elif not is_locked(deletion):
            versions.append(deletion)
            continue
        older_version_stays = True
    return KeyPlan(versions, markers, needed, too_young)
