"""The names of states in a mount of all states: ids, id prefixes, times, ``latest``, ``last-clean``. Pure."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence

from rwm.model import RecordedState, StateInfo, Trust
from rwm.times import iso

UNTRUSTED: tuple[Trust, ...] = ("contradicted", "unknown")
"""States of this trust are skipped by ``latest`` and times."""

_ID_PREFIX = re.compile(r"[0-9a-f]{8,63}")


class StateCatalog:
    """The states that cover a location, as of one reading of the index. Immutable."""

    def __init__(
        self, states: Sequence[RecordedState], moments: Mapping[str, int], named: Mapping[str, StateInfo]
    ) -> None:
        """``states`` are sorted by moment; one without a moment was forgotten between two queries.

        ``named`` are those of special names, as ``latest``.
        """
        states = [state for state in states if state.info.id in moments]
        self.newest = states[-1].info if states else None
        self.by_id = {state.info.id: state.info for state in states}
        self.named = {name: info for name, info in named.items() if info.id in self.by_id}
        self.by_time = time_names([state.info for state in states if state.trust not in UNTRUSTED], moments)
        self.time_of = {info.id: name for name, info in self.by_time.items()}
        self.ids = sorted(self.by_id)
        self.times = sorted(self.by_time)

    def by_id_prefix(self, prefix: str) -> StateInfo | None:
        """The state whose id begins with 8 digits or more; None when there is none, or several."""
        if not is_id_prefix(prefix):
            return None
        ids = self.ids[bisect_left(self.ids, prefix) : bisect_left(self.ids, prefix + "g")]
        return self.by_id[ids[0]] if len(ids) == 1 else None


def is_id_prefix(name: str) -> bool:
    """Whether a name may stand for a longer state id."""
    return _ID_PREFIX.fullmatch(name) is not None


def time_names(states: Iterable[StateInfo], moments: Mapping[str, int]) -> dict[str, StateInfo]:
    """A name for each state, made of its time.

    The plain time belongs to the state at the first moment of its second, and to no other even when that one is
    forgotten. So a name never changes its meaning.
    """
    names: dict[str, StateInfo] = {}
    for info in states:
        time = iso(info.captured_at)
        name = time if moments[info.id] == info.captured_at else f"{time}-{info.short}"
        names[name if name not in names else f"{time}-{info.id}"] = info
    return names
