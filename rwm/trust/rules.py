"""The rules. Each recognises one sign of an attack (:class:`rwm.trust.interface.Rule`). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from rwm.model import ObjectVersion, StateInfo
from rwm.restic import expected_sha256
from rwm.trust.interface import KeyEvidence

CONFIG = "config"
SHRINK_FACTOR = 2
"""An ended state with more than this many times the objects of the newest kept state is a sign of deleted data."""

_MD5 = re.compile(r"[0-9a-f]{32}")


class OverwrittenContent:
    """An object that restic writes once was overwritten with other content."""

    def __init__(self) -> None:
        self._count = 0
        self._first = ""

    def observe(self, key: KeyEvidence) -> None:
        """Compare the versions that are kept or current with the first one."""
        newest = key.history[0]
        if has_other_content(key.history, key.kept | {newest.version_id}):
            self._first = self._first or newest.key
            self._count += 1

    def findings(self, ended: Sequence[StateInfo]) -> Iterable[str]:
        """One line for all objects together."""
        if self._count:
            yield (
                f"{self._count} objects that restic writes once were overwritten with other content "
                f"(the first: {self._first})"
            )


class MissingConfig:
    """The newest kept state has no ``config``, but the bucket has had one."""

    def __init__(self, newest: StateInfo) -> None:
        self._newest = newest
        self._is_missing = False

    def observe(self, key: KeyEvidence) -> None:
        """Look for a ``config`` that the newest kept state lacks."""
        if key.history[0].key == CONFIG and not key.in_newest:
            self._is_missing |= any(not version.is_marker for version in key.history)

    def findings(self, ended: Sequence[StateInfo]) -> Iterable[str]:
        """One line."""
        if self._is_missing:
            yield f"{_name(self._newest)} has no config: restic could not open it"


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


def has_other_content(history: Sequence[ObjectVersion], used: Iterable[str]) -> bool:
    """Whether any of the ``used`` version ids of a key has other content than the key's first version.

    ``history`` is the key's, newest first. Only for names that restic writes once: those that are the hash of their
    content, and ``config``. Compared are sizes, and ETags where both are MD5 sums (not those of multipart uploads).
    """
    key = history[0].key
    if key != CONFIG and expected_sha256(key) is None:
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
