"""Values as text for people, and as JSON for scripts. Pure."""

from __future__ import annotations

import re
from typing import Any

from rwm.model import RecordedState, StateInfo
from rwm.times import SECOND, iso


def escape(text: str) -> str:
    """Replace control characters by escape sequences: an attacker may choose the names in a bucket."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


MAX_NAME = 120
"""Characters of a name in a report: 1,024 of one would break a table, or hide the lines beside it."""


def shorten(name: str) -> str:
    """A name from a bucket for a report: escaped, and without its middle if it is long."""
    text = escape(name[: 2 * MAX_NAME] + name[-MAX_NAME:] if len(name) > 3 * MAX_NAME else name)
    if len(text) <= MAX_NAME:
        return text
    return f"{text[: MAX_NAME // 2]}…{text[1 - MAX_NAME // 2 :]} ({len(name)} characters)"


def format_size(size: int) -> str:
    """Bytes with a binary unit: ``1.4 GiB``."""
    if size < 1024:
        return f"{size} B"
    value = float(size)
    for unit in ("KiB", "MiB", "GiB", "TiB", "PiB"):  # noqa: B007 - used after the loop
        value /= 1024
        if value < 1024:
            break
    return f"{value:.1f} {unit}"


def parse_size(text: str) -> int:
    """Bytes from text such as ``256M``, ``1.5 GiB``, ``1000000``, ``0``. Powers of 1024. Raises ValueError."""
    match = re.fullmatch(r"(\d{1,15}(?:\.\d{1,15})?)\s*([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE | re.ASCII)
    if match is None:
        raise ValueError(f"{text!r} is not a size: write it as 256M or 1G")
    return int(float(match[1]) * 1024 ** " KMGT".index(match[2].upper() or " "))


def format_age(milliseconds: int) -> str:
    """The whole number of the largest unit, as durations are written: ``45s``, ``12m``, ``3h``, ``400d``."""
    seconds = max(0, milliseconds // SECOND)
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def state_json(info: StateInfo) -> dict[str, Any]:
    """A state as JSON: full id, time in ISO 8601 UTC, size in bytes."""
    return {
        "id": info.id,
        "bucket": info.bucket,
        "prefix": info.prefix,
        "captured_at": iso(info.captured_at),
        "origin": info.origin,
        "outcome": info.outcome,
        "objects": info.objects,
        "bytes": info.bytes,
    }


def recorded_state_json(state: RecordedState) -> dict[str, Any]:
    """:func:`state_json` of a state in the index, with its trust and verdict, and since when each is known."""
    checked = None if state.checked_at is None else iso(state.checked_at)
    return {**state_json(state.info), "trust": state.trust, "verified_at": checked, **verdict_json(state)}


def verdict_json(state: RecordedState) -> dict[str, Any]:
    """The verdict of the last audit and its time; null without one."""
    return {"verdict": state.verdict, "audited_at": None if state.audited_at is None else iso(state.audited_at)}
