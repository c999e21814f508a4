"""Choose the state to recover from, by an audit. Pure."""

from __future__ import annotations

from typing import NamedTuple

from rwm.model import StateInfo
from rwm.times import iso
from rwm.trust import AuditReport


class Choice(NamedTuple):
    """The chosen state, or the second (in milliseconds) of which one is to be captured from history; and why."""

    state: StateInfo | None
    second: int | None
    why: str


def choose_state(report: AuditReport) -> Choice | None:
    """The newest clean recorded state, or the newest quiet second before the first proof; None without either.

    The quiet second is chosen if no recorded state is clean, and if snapshots were written between such a state and it.
    If versions of a newer state are gone, the history is not whole either.
    """
    last, quiet = report.last_clean, report.audit.quiet_second()
    if last is None:
        return quiet if quiet is None else Choice(None, quiet, "no recorded state is clean")
    newer = (item for item in reversed(report.states) if item.state.info.captured_at > last.captured_at)
    if gone := next((item.missing for item in newer if item.missing), None):
        why = f"it is the newest clean one; versions of newer states are gone from the bucket: {gone.why}"
        return Choice(last, None, why)
    if quiet is not None and quiet > last.captured_at:
        after = report.audit.written_after
        missed = after(last.captured_at).snapshots - after(quiet).snapshots
        if missed:
            noun = "snapshot is" if missed == 1 else "snapshots are"
            return Choice(None, quiet, f"{missed} {noun} newer than the last clean state, of {iso(last.captured_at)}")
    return Choice(last, None, "it is the newest clean one")
