"""What ``restic snapshots --json`` says of a repository's snapshots (0.14 to 0.18). Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MIN, _MAX = ((end.replace(tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1) for end in (datetime.min, datetime.max))


class Snapshot(NamedTuple):
    """What restic says of a snapshot. ``time`` is in milliseconds."""

    id: str
    time: int
    host: str
    paths: tuple[str, ...]
    tags: tuple[str, ...] = ()


def parse_snapshots(text: str) -> list[Snapshot]:
    """The snapshots of restic's JSON. Raises ValueError, KeyError, TypeError, AttributeError or OverflowError."""
    return [_parse(document) for document in json.loads(text) or []]


def _parse(document: Mapping[str, Any]) -> Snapshot:
    return Snapshot(
        str(document["id"]),
        _parse_time(document["time"]),
        str(document.get("hostname", "")),
        tuple(str(path) for path in document.get("paths") or ()),
        tuple(str(tag) for tag in document.get("tags") or ()),
    )


def _parse_time(text: str) -> int:
    """restic's time in milliseconds, which the machine chooses: one outside of the years 1 to 9999 is the nearest."""
    if text.startswith(("0000-", "-")):
        return _MIN
    milliseconds = (datetime.fromisoformat(text) - _EPOCH) // timedelta(milliseconds=1)
    return min(max(milliseconds, _MIN), _MAX)
