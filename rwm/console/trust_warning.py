"""The warning before the use of a state that is not verified."""

from __future__ import annotations

from rwm.console.formatting import SHORT_ID
from rwm.console.output import warn

_REASONS = {
    "contradicted": "is contradicted by the bucket's own history: it may be forged (see `rwm state list`)",
    "unchecked": "was not compared with the bucket's own history: `rwm state sync` compares it",
    "unknown": "could be compared only in part: the bucket no longer has all of its versions, and some reads may fail",
}


def warn_if_untrusted(state_id: str, trust: str) -> None:
    """Print a warning unless the state was captured here or verified."""
    if reason := _REASONS.get(trust):
        warn(f"state {state_id[:SHORT_ID]} {reason}")
