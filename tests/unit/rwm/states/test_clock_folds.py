"""What the history of a key shows of a clock that was set back."""

from __future__ import annotations

import pytest

from rwm.model import ObjectVersion
from rwm.states.clock_folds import SLACK, Folds
from rwm.times import SECOND

T = 1_700_000_000_000


def folds(back: int, newer_id: str = "v2", older_id: str = "v1") -> Folds:
    """Of a key with two versions, the newer one written ``back`` milliseconds earlier by its time."""
    found = Folds()
    times = ((newer_id, T - back), (older_id, T))
    found.add_history([ObjectVersion("key", name, False, False, 1, "e", time) for name, time in times])
    return found


def test_concurrent_writes_show_nothing_of_the_clock() -> None:
    assert T - SECOND not in folds(SLACK)
    assert T - SECOND in folds(SLACK + 1)


@pytest.mark.parametrize("ids", [("null", "v1"), ("v2", "null")])
def test_a_null_version_shows_nothing_of_the_clock(ids: tuple[str, str]) -> None:
    assert T - SECOND not in folds(60 * SECOND, *ids)
