"""Spans of a key's history, compared with a look at every millisecond."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from rwm.model import ObjectVersion
from rwm.states.key_history import KeyHistory

TIMES = range(12)

entries = st.lists(st.tuples(st.sampled_from(TIMES), st.booleans()), min_size=1, max_size=5).map(
    lambda written: [
        ObjectVersion("key", f"v{n}", False, is_marker, 0, "", time) for n, (time, is_marker) in enumerate(written)
    ]
)
windows = st.tuples(st.sampled_from(TIMES), st.sampled_from(TIMES)).map(sorted)


def current_before(entries: Sequence[ObjectVersion], time: int) -> ObjectVersion | None:
    """The first entry in listing order that was written before ``time``."""
    return next((entry for entry in entries if entry.last_modified < time), None)


@given(entries=entries)
def test_spans_find_what_was_current(entries: list[ObjectVersion]) -> None:
    spans = KeyHistory(entries).spans
    for time in TIMES:
        current = current_before(entries, time)
        found = [span.version for span in spans if span.after < time <= span.until]
        assert found == ([current] if current else [])


@given(entries=entries, window=windows)
def test_was_current_and_was_deleted(entries: list[ObjectVersion], window: list[int]) -> None:
    history = KeyHistory(entries)
    start, last = window
    current = [current_before(entries, time) for time in range(start, last + 2)]
    for entry in entries:
        assert history.was_current(entry, start, last) == (entry in current)
    assert history.was_deleted(start, last) == any(entry is not None and entry.is_marker for entry in current)


@given(entries=entries.filter(lambda found: not all(entry.is_marker for entry in found)))
def test_oldest_is_the_last_version_in_listing_order(entries: list[ObjectVersion]) -> None:
    assert KeyHistory(entries).oldest == [entry for entry in entries if not entry.is_marker][-1]
