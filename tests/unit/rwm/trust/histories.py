"""Histories and states for tests of the rules."""

from __future__ import annotations

from rwm.model import ObjectVersion, Outcome, StateInfo

PACK = "data/ab/" + "ab" * 32
MD5 = {"x": "0" * 32, "y": "1" * 32}


def history(key: str, *contents: str | None) -> list[ObjectVersion]:
    """The entries of a key, newest first; ``contents`` in the order of writing, None for a delete marker."""
    entries = [
        ObjectVersion(
            key,
            f"v{n}",
            n == len(contents),
            content is None,
            len(content or ""),
            MD5.get((content or "")[:1], content or ""),
            n * 1000,
        )
        for n, content in enumerate(contents, 1)
    ]
    return entries[::-1]


def state(objects: int, outcome: Outcome | None = None) -> StateInfo:
    return StateInfo(f"{objects:064x}", "bucket1", objects, "backup", objects, 0, outcome)
