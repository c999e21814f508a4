"""Content hashes in the names of repository files. Pure.

restic names every file of a repository but ``config`` by the SHA-256 of its content (restic's design document,
"Repository layout").
"""

from __future__ import annotations

import re

_CONTENT_ADDRESSED = re.compile(r"(?:.*/)?(?:data/[0-9a-f]{2}|index|snapshots|keys)/([0-9a-f]{64})", re.DOTALL)


def expected_sha256(key: str) -> str | None:
    """The SHA-256 (hexadecimal) that the content of a key must have, or None when its name has none.

    Not for ``locks/``, from which nothing is restored.
    """
    match = _CONTENT_ADDRESSED.fullmatch(key)
    return match[1] if match else None


def is_pack(key: str) -> bool:
    """Whether the key is one of a pack of data, in ``data/``."""
    return expected_sha256(key) is not None and key.split("/")[-3:-2] == ["data"]


def find_fault(key: str, expected_size: int, size: int, sha256: str) -> str | None:
    """How content of that size and SHA-256 differs from what a key and its recorded size promise, None if not."""
    if size != expected_size:
        more = "more than " if size > expected_size else ""
        return f"its content has {more}{min(size, expected_size)} bytes, not {expected_size}"
    expected = expected_sha256(key)
    if expected is not None and expected != sha256:
        return f"its content does not match its name: its SHA-256 is {sha256}"
    return None
