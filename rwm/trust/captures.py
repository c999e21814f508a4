"""When states were captured, as the listing of their files tells. Pure.

A program that deletes what recent states do not need leaves a lock that was current in one of them, and deletes newer
locks. Such a lock says nothing of the time after it. The name of a state's file has the second of the state, which
whoever writes the file chooses. When it was written, the server says. A file that was written long after its second
does not count: else somebody could make all locks of the past doubtful.
"""

from __future__ import annotations

from collections.abc import Sequence

from rwm.model import ObjectVersion
from rwm.statefile import parse_file_key
from rwm.times import HOUR, SECOND
from rwm.trust.intervals import Intervals

LONGEST = HOUR
"""How long after its second a state's file may be written: the time in which ten million versions are listed."""

CLOCKS = HOUR
"""By how much the clocks of two gateways of a server may differ, at most."""

_SLACK = SECOND  # between the clocks of two gateways, at the end of a listing


class Captures:
    """The times of captures, by the prefix of their states."""

    def __init__(self) -> None:
        self._times: dict[str, Intervals] = {}

    def add(self, entries: Sequence[ObjectVersion]) -> None:
        """Add one key below ``rwm/states/``: all its entries, oldest first."""
        name = parse_file_key(entries[0].key)
        written = next((entry.last_modified for entry in entries if not entry.is_marker), None)
        if name is None or written is None or not -CLOCKS <= written - name.captured_at <= LONGEST:
            return
        # A state is as of the end of its second, but for keys that were created while the bucket was listed.
        start = name.captured_at + SECOND
        self._times.setdefault(name.prefix, Intervals()).add(start, max(start, written) + _SLACK)

    def of(self, root: str) -> tuple[Intervals, ...]:
        """The times of captures of states that contain the repository at ``root``.

        What was there at any of these times may be in a state, and what was not is in none.
        """
        return tuple(times for prefix, times in self._times.items() if root.startswith(prefix))
