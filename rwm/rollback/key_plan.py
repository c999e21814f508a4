"""What brings one key back: the fewest requests that make its current content the wanted one. Pure.

A version is never removed, so whatever anybody writes meanwhile stays. Delete markers are removed where the wanted
version is right below them; where others are above it, it is copied; what is not wanted gets a delete marker.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Literal, NamedTuple

from rwm.model import ARCHIVE_CLASSES, Entry, ObjectVersion, OperationChange

Mode = Literal["roll-back", "undelete"]
"""``undelete`` only removes delete markers; what was overwritten or added stays."""

MAX_UNMARKED = 250
"""Delete markers of one key that are removed, in a few requests. If there are more, the version is copied."""

IsCopyOf = Callable[[ObjectVersion, Entry], bool]
"""Whether a version is known to be a copy of the wanted one although its ETag is another."""


class Problem(Enum):
    """Why a key cannot be brought back."""

    GONE = "the version is gone"
    ARCHIVED = "the version is in an archive class and must be retrieved first"
    OVERWRITTEN = "it was overwritten: removing delete markers does not bring it back"
    CHANGED = "it was written again since"


class KeyPlan(NamedTuple):
    """The changes of one key; none if it is as wanted, or if there is a problem."""

    changes: tuple[OperationChange, ...] = ()
    problem: Problem | None = None


def plan_key(
    history: Sequence[ObjectVersion],
    wanted: Entry | None,
    mode: Mode = "roll-back",
    is_copy_of: IsCopyOf = lambda version, entry: False,
) -> KeyPlan:
    """What makes ``wanted`` the current content; None for none. ``history``: all entries of the key, newest first."""
    if wanted is None:
        return _remove(history, mode)
    position = _find(history, wanted, is_copy_of)
    if position is None:
        return KeyPlan(problem=Problem.GONE)
    source, above = history[position], history[:position]
    before = history[0].version_id
    if all(entry.is_marker for entry in above) and (len(above) <= MAX_UNMARKED or mode == "undelete"):
        return KeyPlan(
            tuple(
                OperationChange("unmarked", entry.key, entry.version_id, source.version_id, at=entry.last_modified)
                for entry in above
            )
        )
    if mode == "undelete":
        return KeyPlan(problem=Problem.OVERWRITTEN)
    if source.storage_class in ARCHIVE_CLASSES:
        return KeyPlan(problem=Problem.ARCHIVED)
    change = OperationChange(
        "copied",
        source.key,
        "",
        source.version_id,
        before,
        size=source.size,
        storage_class=source.storage_class or "",
    )
    return KeyPlan((change,))


def _remove(history: Sequence[ObjectVersion], mode: Mode) -> KeyPlan:
    if not history or history[0].is_marker or mode == "undelete":
        return KeyPlan()
    return KeyPlan((OperationChange("marked", history[0].key, "", before=history[0].version_id),))


def _find(history: Sequence[ObjectVersion], wanted: Entry, is_copy_of: IsCopyOf) -> int | None:
    """The position of the newest version with the wanted content; of the wanted one itself if it is not current."""
    same = [
        position
        for position, version in enumerate(history)
        if not version.is_marker and (is_same_content(version, wanted) or is_copy_of(version, wanted))
    ]
    if not same:
        return None
    if all(entry.is_marker for entry in history[: same[0]]):
        return same[0]
    return next((n for n in same if history[n].version_id == wanted.version_id), same[0])


def is_same_content(version: ObjectVersion, wanted: Entry) -> bool:
    """Whether a version has the size and the ETag of the wanted one: a ``null`` version may have been replaced.

    A delete marker has the content of delete markers only.
    """
    return (version.size, version.etag) == (wanted.size, wanted.etag)


def plan_undo_key(
    history: Sequence[ObjectVersion],
    changes: Sequence[OperationChange],
    is_copy_of: IsCopyOf = lambda version, entry: False,
) -> KeyPlan:
    """What undoes the changes of one key: afterwards its current content is that before them.

    Nothing, if they were never made; a problem, if somebody else has written the key since.
    """
    if not history:
        return KeyPlan(problem=Problem.GONE)
    change = changes[0]
    if change.did == "unmarked":
        if history[0].is_marker:
            return KeyPlan()
        return _remove(history, "roll-back") if _is_made(history, change, is_copy_of) else _changed()
    position = next((n for n, entry in enumerate(history) if entry.version_id == change.before), None)
    if position is None:
        return KeyPlan(problem=Problem.GONE)
    before = history[position]
    if is_same_content(history[0], as_entry(before)):  # never made, or undone already
        return KeyPlan()
    if change.did == "marked":
        is_made = all(entry.is_marker for entry in history[:position])
    else:
        is_made = _is_made(history, change, is_copy_of)
        is_made &= all(_is_own(entry, history, change, is_copy_of) for entry in history[:position])
    if not is_made:
        return _changed()
    return plan_key(history, None if before.is_marker else as_entry(before), "roll-back", is_copy_of)


def _changed() -> KeyPlan:
    return KeyPlan(problem=Problem.CHANGED)


def _is_own(
    version: ObjectVersion, history: Sequence[ObjectVersion], change: OperationChange, is_copy_of: IsCopyOf
) -> bool:
    """Whether an entry has the content of the source of a change, or of what was there before: RWM may have written it.

    An operation and its undo, again and again, leave such entries.
    """
    origins = [entry for entry in history if entry.version_id in (change.source, change.before)]
    return any(is_same_content(version, as_entry(each)) or is_copy_of(version, as_entry(each)) for each in origins)


def _is_made(history: Sequence[ObjectVersion], change: OperationChange, is_copy_of: IsCopyOf) -> bool:
    """Whether the current version is the source of a change, or a copy of it."""
    source = next((entry for entry in history if entry.version_id == change.source), None)
    if source is None:
        return False
    return is_same_content(history[0], as_entry(source)) or is_copy_of(history[0], as_entry(source))


def as_entry(version: ObjectVersion) -> Entry:
    """The version as an entry of a state."""
    return Entry(version.key, version.version_id, version.size, version.etag, version.last_modified)
