"""The results of verifications of a state."""

from __future__ import annotations

from typing import Literal, NamedTuple

Level = Literal["structure", "content", "restic"]
"""How a state was verified: presence, size and ETag of its versions; SHA-256 of their content; ``restic check``."""


class Verification(NamedTuple):
    """The result of the last verification of a state at a level.

    ``checked_at`` is the server's time at its beginning. ``objects`` and ``bytes`` were found right, in this or an
    earlier verification, of ``total_bytes`` that the level can prove. ``faults`` counts what is wrong or missing.
    ``by`` is the account and the computer that verified, ``admin@host1``; empty if it is not known.
    """

    checked_at: int
    objects: int
    bytes: int
    total_bytes: int
    faults: int
    by: str = ""
