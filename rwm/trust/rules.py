"""What looks like an attack. Pure: each rule takes what was seen and says what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from rwm.model import ObjectVersion, StateInfo
from rwm.restic import expected_sha256

_MD5 = re.compile(r"[0-9a-f]{32}")
CONFIG = "config"


def has_other_content(history: Sequence[ObjectVersion], used: Iterable[str]) -> bool:
    """Whether any of the ``used`` version ids of a key holds something else than what was first written to it.

    ``history`` is the key's, newest first. Only for names that restic writes once: those that are the hash of their
    content, and ``config``. Sizes tell, and ETags where both are plain MD5 sums (not of multipart uploads).
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


class Watch:
    """Looks for signs of an attack while the histories go by: what is to be kept may be what the attacker left."""

    def __init__(self, newest: StateInfo) -> None:
        self._newest = newest
        self._overwritten: list[str] = []
        self._lost_config = False

    def look(self, history: Sequence[ObjectVersion], kept: set[str], newest: bool) -> None:
        """One key's entries, newest first, which of them are kept, and whether the newest kept state has the key."""
        first = history[0]
        if has_other_content(history, kept | {first.version_id}):
            self._overwritten.append(first.key)
        if first.key == CONFIG and not newest and any(not version.is_marker for version in history):
            self._lost_config = True

    def findings(self, ending: Iterable[StateInfo]) -> list[str]:
        """One line for each sign. ``ending`` are states that are whole and that a prune would end."""
        name = f"the newest kept state {self._newest.id[:12]}"
        found = []
        if self._overwritten:
            found.append(
                f"{len(self._overwritten)} objects that restic writes once were overwritten with other content "
                f"(the first: {self._overwritten[0]})"
            )
        if self._lost_config:
            found.append(f"{name} has no config: restic could not open it")
        if self._newest.outcome == "failed":
            found.append(f"{name} was captured after a backup that failed")
        largest = max(ending, key=lambda info: info.objects, default=self._newest)
        if largest.objects > 2 * self._newest.objects:
            found.append(
                f"{name} has {self._newest.objects} objects, and state {largest.id[:12]}, "
                f"which this would end, has {largest.objects}"
            )
        return found
