"""The rules. Each recognises one sign of an attack (:class:`rwm.trust.interface.Rule`). Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate

from rwm.layout import CONFIG_FILE
from rwm.model import ObjectVersion, StateInfo
from rwm.restic import expected_sha256
from rwm.trust.interface import KeyEvidence
from rwm.trust.repositories import Repositories, is_config, repository_root

_ANY_TIME = 1 << 62  # milliseconds
SHRINK_FACTOR = 2
"""An ended state with more than this many times the objects of the newest kept state is a sign of deleted data."""

_MD5 = re.compile(r"[0-9a-f]{32}")


class OverwrittenContent:
    """An object that restic writes once was overwritten with other content."""

    def __init__(self, repositories: Repositories) -> None:
        self._repositories = repositories
        self._count = 0
        self._first = ""
        self._configs: list[str] = []

    def observe(self, key: KeyEvidence) -> None:
        """Compare the versions that are kept or current with the first one."""
        newest = key.history[0]
        if not has_other_content(key.history, key.kept | {newest.version_id}):
            return
        if expected_sha256(newest.key) is None:
            self._configs.append(newest.key)
            return
        self._first = self._first or newest.key
        self._count += 1

    def findings(self, ended: Sequence[StateInfo]) -> Iterable[str]:
        """One line for all objects together."""
        configs = [key for key in self._configs if self._repositories.has_config(key)]
        if count := self._count + len(configs):
            first = self._first or configs[0]
            yield f"{count} objects that restic writes once were overwritten with other content (the first: {first})"


class MissingConfig:
    """The newest kept state lacks the ``config`` of a repository that existed before it.

    In the root of the location, a ``config`` of any time counts: the kept state is of no use to restic.
    """

    def __init__(self, newest: StateInfo, repositories: Repositories) -> None:
        self._newest = newest
        self._repositories = repositories
        self._missing: list[str] = []

    def observe(self, key: KeyEvidence) -> None:
        """Look for a ``config`` that the newest kept state lacks."""
        name = key.history[0].key
        if not is_config(name) or key.in_newest:
            return
        until = _ANY_TIME if name == self._newest.prefix + CONFIG_FILE else self._newest.captured_at
        if any(not version.is_marker and version.last_modified < until for version in key.history):
            self._missing.append(name)

    def findings(self, ended: Sequence[StateInfo]) -> Iterable[str]:
        """One line for each repository."""
        for key in self._missing:
            if self._repositories.has_config(key):
                shown = key.removeprefix(self._newest.prefix)
                yield f"{_name(self._newest)} has no {shown}: restic could not open it"


class FailedBackup:
    """The newest kept state was captured after a backup that failed."""

    def __init__(self, newest: StateInfo) -> None:
        self._newest = newest

    def observe(self, key: KeyEvidence) -> None:
        """Ignore the key: the rule is about states."""

    def findings(self, ended: Sequence[StateInfo]) -> Iterable[str]:
        """One line."""
        if self._newest.outcome == "failed":
            yield f"{_name(self._newest)} was captured after a backup that failed"


class ShrunkenState:
    """The deletions would end a state that has far more objects than the newest kept one."""

    def __init__(self, newest: StateInfo) -> None:
        self._newest = newest

    def observe(self, key: KeyEvidence) -> None:
        """Ignore the key: the rule is about states."""

    def findings(self, ended: Sequence[StateInfo]) -> Iterable[str]:
        """One line, for the largest of the ended states."""
        largest = max(ended, key=lambda info: info.objects, default=self._newest)
        if largest.objects > SHRINK_FACTOR * self._newest.objects:
            yield (
                f"{_name(self._newest)} has {self._newest.objects} objects, and state {largest.id[:12]}, "
                f"which this would end, has {largest.objects}"
            )


class ShrunkenRepository:
    """The same for the files of one repository, where the states are of more than one.

    Memory grows with the number of repositories, and with how often the number of files in one changes.
    """

    def __init__(self, newest: StateInfo, states: Sequence[StateInfo]) -> None:
        self._newest = newest
        self._states = states
        self._changes: dict[str, Counter[int]] = {}

    def observe(self, key: KeyEvidence) -> None:
        """Count a file of a repository below the location's root: where its range of states begins and ends."""
        root = repository_root(key.history[0].key)
        if root is None or root == self._newest.prefix:
            return
        changes = self._changes.setdefault(root, Counter())
        for positions in key.states:
            changes[positions.start] += 1
            changes[positions.stop] -= 1

    def findings(self, ended: Sequence[StateInfo]) -> Iterable[str]:
        """One line for each repository, for the ended state that has most of its files."""
        ids = {info.id for info in ended}
        for root, changes in sorted(self._changes.items()):
            files = dict(zip(self._states, accumulate(changes[n] for n in range(len(self._states))), strict=True))
            largest = max((info for info in files if info.id in ids), key=files.__getitem__, default=self._newest)
            if files[largest] > SHRINK_FACTOR * files[self._newest]:
                yield (
                    f"{_name(self._newest)} has {files[self._newest]} files of the repository {root}, and state "
                    f"{largest.id[:12]}, which this would end, has {files[largest]}"
                )


def has_other_content(history: Sequence[ObjectVersion], used: Iterable[str]) -> bool:
    """Whether any of the ``used`` version ids of a key has other content than the key's first version.

    ``history`` is the key's, newest first. Only for names that restic writes once: those that are the hash of their
    content, and ``config``. Compared are sizes, and ETags where both are MD5 sums (not those of multipart uploads).
    """
    key = history[0].key
    if not is_config(key) and expected_sha256(key) is None:
        return False
    written = [version for version in history if not version.is_marker]
    wanted = set(used)
    return any(_differ(version, written[-1]) for version in written if version.version_id in wanted)


def _differ(one: ObjectVersion, other: ObjectVersion) -> bool:
    if one.size != other.size:
        return True
    return bool(_MD5.fullmatch(one.etag) and _MD5.fullmatch(other.etag)) and one.etag != other.etag


def _name(newest: StateInfo) -> str:
    return f"the newest kept state {newest.id[:12]}"
