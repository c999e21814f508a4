"""What the name of an object proves about its content. Pure.

restic names every file of a repository but ``config`` by the SHA-256 of its content (restic's design document,
"Repository layout").
"""

from __future__ import annotations

import re

_ADDRESSED = re.compile(r"(?:.*/)?(?:data/[0-9a-f]{2}|index|snapshots|keys)/([0-9a-f]{64})", re.DOTALL)


def expected_sha256(key: str) -> str | None:
    """The SHA-256, hexadecimal, that the content must have, or None when the name does not tell.

    ``locks/`` are left out: they come and go, and nothing is restored from them.
    """
    match = _ADDRESSED.fullmatch(key)
    return match[1] if match else None
