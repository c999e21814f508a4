"""Which states a prune keeps: the keep rule is applied to the states of each location by themselves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rwm.errors import UsageError
from rwm.index import Index, states_by_location
from rwm.location import Location
from rwm.model import RecordedState, StateInfo


def select_kept_states(index: Index, location: Location, *, last: int, named: Iterable[str]) -> list[StateInfo]:
    """The newest ``last`` states of each location that the rule applies to, and the ``named`` ones, oldest first.

    A state that the bucket's history does not confirm is kept only by name. Raises UsageError when no state is asked
    for, StateNotFound for a name of no state that overlaps the location.
    """
    names = list(named)
    if last < 1 and not names:
        raise UsageError("say which states to keep", hint="with --keep-last N (at least 1) or --keep-state S")
    recorded = index.recorded(location)
    wanted = {index.resolve(name, location).id for name in names}
    if last > 0:
        for states in states_by_location(recorded).values():
            if follows_rule(location, states[0].info.location):
                wanted.update(info.id for info in candidates(states)[-last:])
    return [state.info for state in recorded if state.info.id in wanted]


def follows_rule(pruned: Location, location: Location) -> bool:
    """Whether the keep rule of a prune applies to the states of a location: all other states are kept.

    The prune of a bucket applies it to every location in the bucket, the prune of a prefix to that prefix alone.
    """
    return not pruned.prefix or location == pruned


def candidates(states: Sequence[RecordedState]) -> list[StateInfo]:
    """The states of one location that the rule may keep: the confirmed ones, without any the unchecked ones."""
    confirmed = [state.info for state in states if state.trust in ("own", "verified")]
    return confirmed or [state.info for state in states if state.trust == "unchecked"]
