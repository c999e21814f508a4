"""Signs, beside those that the audit finds, that the newest kept state is not one to rely on. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate

from rwm.layout import CONFIG_FILE
from rwm.model import Level, ObjectVersion, StateInfo, Verification
from rwm.phrases import format_count
from rwm.times import iso

SHRINK_FACTOR = 2
"""An ended state with more than this many times the objects of the newest kept state is a sign of deleted data."""

_ANY_TIME = 1 << 62  # milliseconds


def failed_backup(newest: StateInfo) -> Iterator[str]:
    """The newest kept state was captured after a backup that failed."""
    if newest.outcome == "failed":
        yield f"{_name(newest)} was captured after a backup that failed"


def failed_verification(newest: StateInfo, results: Mapping[Level, Verification]) -> Iterator[str]:
    """A verification found something wrong or missing in the newest kept state."""
    for level, result in results.items():
        if result.faults:
            yield f"{_name(newest)} was verified ({level}) on {iso(result.checked_at)}: {result.faults} faults"


def shrunken_state(newest: StateInfo, ended: Sequence[StateInfo]) -> Iterator[str]:
    """The deletions would end a state that has far more objects than the newest kept one."""
    largest = max(ended, key=lambda info: info.objects, default=newest)
    if largest.objects > SHRINK_FACTOR * newest.objects:
        yield (
            f"{_name(newest)} has {format_count(newest.objects, 'object')}, and state {largest.short}, "
            f"which this would end, has {largest.objects}"
        )


class RepositoryFiles:
    """Observes the files of each repository in the states of a location, which come oldest first.

    Memory grows with the number of repositories, and with how often the number of files in one changes.
    """

    def __init__(self, newest: StateInfo, states: Sequence[StateInfo]) -> None:
        self._newest = newest
        self._states = states
        self._changes: dict[str, Counter[int]] = {}
        self._without_config: list[str] = []

    def observe(
        self, root: str, history: Sequence[ObjectVersion], states: Sequence[range], *, is_in_newest: bool
    ) -> None:
        """Add a file of the repository at ``root``, and the positions of the states that have it."""
        if history[0].key == root + CONFIG_FILE:
            self._observe_config(root, history, is_in_newest=is_in_newest)
        if root != self._newest.prefix:  # that one is compared by the sizes of the states
            changes = self._changes.setdefault(root, Counter())
            for positions in states:
                changes[positions.start] += 1
                changes[positions.stop] -= 1

    def _observe_config(self, root: str, history: Sequence[ObjectVersion], *, is_in_newest: bool) -> None:
        """In the root of the location a ``config`` of any time counts: without it restic cannot use the state."""
        until = _ANY_TIME if root == self._newest.prefix else self._newest.captured_at
        if not is_in_newest and any(not entry.is_marker and entry.last_modified < until for entry in history):
            self._without_config.append(root)

    def missing_configs(self) -> Iterator[str]:
        """The newest kept state lacks the ``config`` of a repository that existed before it."""
        for root in self._without_config:
            shown = f"{root}{CONFIG_FILE}".removeprefix(self._newest.prefix)
            yield f"{_name(self._newest)} has no {shown}: restic could not open it"

    def shrunken_repositories(self, ended: Sequence[StateInfo]) -> Iterator[str]:
        """The deletions would end a state with far more files of a repository, where states have more than one."""
        ids = {info.id for info in ended}
        for root, changes in sorted(self._changes.items()):
            files = dict(zip(self._states, accumulate(changes[n] for n in range(len(self._states))), strict=True))
            largest = max((info for info in files if info.id in ids), key=files.__getitem__, default=self._newest)
            if files[largest] > SHRINK_FACTOR * files[self._newest]:
                yield (
                    f"{_name(self._newest)} has {files[self._newest]} files of the repository {root}, and state "
                    f"{largest.short}, which this would end, has {files[largest]}"
                )


def _name(newest: StateInfo) -> str:
    return f"the newest kept state {newest.short}"
