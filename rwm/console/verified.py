"""What is known of a state from verifications, as text for people and as JSON. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from rwm.console.formatting import escape
from rwm.model import Level, Verification
from rwm.phrases import format_count
from rwm.times import iso

_LEVELS: tuple[Level, ...] = get_args(Level)


def describe_verified(found: Mapping[Level, Verification]) -> str:
    """``content 97 %, restic by admin@host1``; ``structure`` only without a better level; faults instead.

    Empty without any.
    """
    worst = max(found.values(), key=lambda one: one.faults, default=None)
    if worst is not None and worst.faults:
        return _by(format_count(worst.faults, "fault"), [worst])
    content, restic, structure = found.get("content"), found.get("restic"), found.get("structure")
    if content and not content.total_bytes:
        content = None
    shown = [one for one in (content, restic) if one] or ([structure] if structure else [])
    parts = [f"content {percent(content)}"] if content else []
    parts += ["restic"] if restic else []
    return _by(", ".join(parts) or ("structure" if structure else ""), shown)


def _by(text: str, results: Sequence[Verification]) -> str:
    """The text, and who has found it."""
    names = sorted({one.by for one in results if one.by})
    return escape(f"{text} by {' and '.join(names)}") if names else text


def percent(result: Verification) -> str:
    """The part of the bytes that was found right: ``97 %``. 100 % only if it is all; 0 % of nothing."""
    if not result.total_bytes:
        return "0 %"
    part = 100 if result.bytes >= result.total_bytes else result.bytes * 100 // result.total_bytes
    return f"{part} %"


def verification_json(found: Mapping[Level, Verification]) -> dict[str, Any]:
    """Fields of a state: when each level was verified last, by whom (null: never, not known), and what was found."""
    times = {f"verified_{level}_at": iso(found[level].checked_at) if level in found else None for level in _LEVELS}
    names = {f"verified_{level}_by": (found[level].by or None) if level in found else None for level in _LEVELS}
    content = found.get("content")
    return {
        **times,
        **names,
        "proved_bytes": content.bytes if content else None,
        "provable_bytes": content.total_bytes if content else None,
        "faults": max((one.faults for one in found.values()), default=None),
    }
