"""The stages in which a prune deletes."""

from __future__ import annotations

from rwm.prune import Stage
from rwm.trust import Kind


def test_stages_of_kinds() -> None:
    assert Stage.of(None, is_marker=False) is Stage.of(Kind.DATA, is_marker=False) is Stage.VERSIONS
    assert Stage.of(Kind.SNAPSHOTS, is_marker=True) is Stage.MARKERS
    assert Stage.of(Kind.KEYS, is_marker=False) is Stage.of(Kind.INDEX, is_marker=False) is Stage.INDEX_VERSIONS
    assert Stage.of(Kind.LOCKS, is_marker=True) is Stage.LOCK_MARKERS
