"""What is said before the use of a state: that it is not verified, suspect, or clean as of an audit."""

from __future__ import annotations

from rwm.console.output import print_note, warn
from rwm.location import Location
from rwm.model import LAST_CLEAN, SHORT_ID
from rwm.shell import quote

_REASONS = {
    "contradicted": "is contradicted by the bucket's own history: it may be forged",
    "unchecked": "was not compared with the bucket's own history: `rwm state sync BUCKET` compares it",
    "unknown": "could be compared only in part: the bucket no longer has all of its versions, and some reads may fail",
}


def warn_if_untrusted(state_id: str, bucket: str, trust: str) -> None:
    """Print a warning unless the state was captured here or verified."""
    if reason := _REASONS.get(trust):
        warn(f"state {state_id[:SHORT_ID]} {reason.replace('BUCKET', bucket)}")


def warn_if_suspect(state_id: str, location: Location, verdict: str | None, audited_at: str | None) -> None:
    """Print a warning if an audit, at a time in ISO 8601, found the consequence of a proof in the state."""
    if verdict == "suspect":
        warn(
            f"state {state_id[:SHORT_ID]} is suspect by the audit of {audited_at}: what it has is damaged or forged "
            f"(`rwm audit {quote(location)}` says more; {LAST_CLEAN} is the last clean state)"
        )


def note_last_clean(state_id: str, captured_at: str, audited_at: str | None) -> None:
    """Print which state ``last-clean`` is, and as of which audit. Times in ISO 8601."""
    print_note(f"{LAST_CLEAN}: state {state_id[:SHORT_ID]} of {captured_at}, as of the audit of {audited_at}")
