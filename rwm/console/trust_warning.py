"""What to tell somebody who is about to use a state that may not be what the bucket was."""

from __future__ import annotations

from rwm.console.output import SHORT_ID, warn

_DOUBTS = {
    "contradicted": "is not what the bucket's own history says: somebody may have forged it (`rwm state list`)",
    "unchecked": "was not compared with the bucket's own history: `rwm state sync` does it",
    "unknown": "could not be compared in full: the bucket has lost versions since, and some reads may fail",
}


def warn_of_trust(state_id: str, trust: str) -> None:
    """A warning where there is reason for one."""
    if doubt := _DOUBTS.get(trust):
        warn(f"state {state_id[:SHORT_ID]} {doubt}")
