"""What is known of a state from verifications, as text for people and as JSON. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rwm.console.formatting import format_count
from rwm.model import Level, Verification
from rwm.times import iso


def describe_verified(found: Mapping[Level, Verification]) -> str:
    """``content 97 %, restic``; ``structure`` only without a better level; faults instead. Empty without any."""
    if faults := max((one.faults for one in found.values()), default=0):
        return format_count(faults, "fault")
    content = found.get("content")
    parts = [f"content {percent(content)}"] if content and content.total_bytes else []
    parts += ["restic"] if "restic" in found else []
    return ", ".join(parts) or ("structure" if "structure" in found else "")


def percent(result: Verification) -> str:
    """The part of the bytes that was found right: ``97 %``. 100 % only if it is all; 0 % of nothing."""
    if not result.total_bytes:
        return "0 %"
    part = 100 if result.bytes >= result.total_bytes else result.bytes * 100 // result.total_bytes
    return f"{part} %"


def verification_json(found: Mapping[Level, Verification]) -> dict[str, Any]:
    """Fields of a state: when each level was verified last (null: never), and what was found."""
    times = {
        f"verified_{level}_at": iso(found[level].checked_at) if level in found else None
        for level in ("structure", "content", "restic")
    }
    content = found.get("content")
    return {
        **times,
        "proved_bytes": content.bytes if content else None,
        "provable_bytes": content.total_bytes if content else None,
        "faults": max((one.faults for one in found.values()), default=None),
    }
