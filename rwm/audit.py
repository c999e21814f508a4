"""What looks like an attack. Pure: each rule takes what was seen and says what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from rwm.content import expected_sha256
from rwm.model import ObjectVersion, StateInfo

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


def has_shrunk(states: Sequence[StateInfo], newest: StateInfo) -> StateInfo | None:
    """The state recorded before ``newest`` (of ``states``, oldest first) if that had more than twice its objects."""
    before = states[: states.index(newest)]
    return before[-1] if before and before[-1].objects > 2 * newest.objects else None
