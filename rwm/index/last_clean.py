"""The last clean state of a location, by the verdicts of recorded audits. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from rwm.errors import StateNotFound
from rwm.location import Location
from rwm.model import RecordedState
from rwm.shell import quote
from rwm.times import iso


def find_last_clean(states: Sequence[RecordedState], location: Location) -> RecordedState:
    """The newest of the states, oldest first, that is clean below the location. Raises StateNotFound."""
    for state in reversed(states):
        if state.verdict == "clean" and state.is_confirmed_for(location):
            return state
    audits = [state.audited_at for state in states if state.audited_at is not None]
    if not audits:
        raise StateNotFound(
            f"no state of {location.described} was audited, so none is known to be clean",
            hint=f"`rwm audit {quote(location)}` judges them",
        )
    raise StateNotFound(
        f"no recorded state of {location.described} is clean, as of the audit of {iso(max(audits))}",
        hint=f"`rwm audit {quote(location)} --capture` captures the last clean one from the bucket's history",
    )
