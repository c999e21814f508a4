"""What is printed about objects in archive classes, and the command that brings one of them back."""

from __future__ import annotations

import json
from typing import Any

from rwm.console.formatting import format_size
from rwm.console.hints import complete_command
from rwm.console.output import current_invocation, warn
from rwm.model import ARCHIVE_CLASSES, SHORT_ID, ClassCount, Entry, StorageClasses
from rwm.phrases import format_count
from rwm.shell import quote
from rwm.times import iso, parse_iso

RESTORE_DAYS = 7
"""Days for which the printed command brings an object back."""


def restore_command(bucket: str, entry: Entry) -> str:
    """The command that brings one archived version back, on one line, for any POSIX shell.

    All values are in one JSON argument: ``aws`` would read a file for the value of ``--key`` that begins with
    ``file://``, and would take one that begins with a dash for an option. In JSON all control characters are escaped.
    """
    request = {
        "Bucket": bucket,
        "Key": entry.key,
        "VersionId": entry.version_id,
        "RestoreRequest": {"Days": RESTORE_DAYS},
    }
    command = f"rwm aws s3api restore-object --cli-input-json {quote(json.dumps(request))}"
    return complete_command(command, current_invocation())


def describe_archived(classes: StorageClasses) -> str:
    """``12 objects, 3.4 GiB, are archived (GLACIER 12)``, or "" if none is."""
    objects, size = classes.archived
    if not objects:
        return ""
    by_class = ", ".join(
        f"{name} {classes.counts[name].objects}" for name in sorted(ARCHIVE_CLASSES & {*classes.counts})
    )
    verb = "is" if objects == 1 else "are"
    return f"{format_count(objects, 'object')}, {format_size(size)}, {verb} archived ({by_class})"


def describe_listing(classes: StorageClasses) -> str:
    """``as of the listing at 2026-11-20T10:00:00Z``."""
    if classes.listed_at is None:
        return "as far as the index knows: not all of it was listed since"
    return f"as of the listing at {iso(classes.listed_at)}"


def classes_json(classes: StorageClasses) -> dict[str, Any]:
    """Fields of a JSON document: what is archived, as of which listing, and all classes but STANDARD."""
    listed_at = None if classes.listed_at is None else iso(classes.listed_at)
    return {
        "archived": {**classes.archived._asdict(), "listed_at": listed_at},
        "storage_classes": {name: count._asdict() for name, count in classes.counts.items()},
    }


def classes_from_json(document: dict[str, Any]) -> StorageClasses:
    """The classes of a document with the fields of :func:`classes_json`."""
    listed_at = document["archived"]["listed_at"]
    counts = {name: ClassCount(**count) for name, count in document["storage_classes"].items()}
    return StorageClasses(None if listed_at is None else parse_iso(listed_at), counts)


def warn_if_archived(state_id: str, classes: StorageClasses) -> None:
    """Warn of what cannot be read yet of a state, or of all states of a bucket if ``state_id`` is empty."""
    if text := describe_archived(classes):
        of, short = (f"state {state_id[:SHORT_ID]}", state_id[:SHORT_ID]) if state_id else ("all states", "STATE")
        show = f"`rwm state show {short} --archived` lists what to retrieve first, and how"
        warn(f"{of}: {text}, {describe_listing(classes)}; {show}")
