"""Delta files: their form never changes; when a full file is due."""

from __future__ import annotations

import gzip
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwm.model import Change, Entry, StateInfo
from rwm.statefile.delta import delta_header_text, is_full_due, write_delta
from tests.unit.rwm.statefile.test_canonical import GOLDEN_ID

# If this differs, deltas that are kept in buckets cannot be read any more. Do not adapt it.
GOLDEN = (
    '{"format":"rwm-state-delta-1","id":"a9a5a1ab366bafb92a957e1e652b8192ff42fd9e30232f6187055196e3c00bbe",'
    '"base":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb","bucket":"bucket1",'
    '"captured_at":"2026-11-20T12:00:00Z","origin":"backup","outcome":"ok","objects":3,"bytes":42,"changes":3}\n'
    '{"key":"config","version_id":"null","size":0,"etag":"","last_modified":"2026-11-20T11:59:59.123Z"}\n'
    '{"key":"data/\\"\\u0001","removed":true}\n'
    '{"key":"Привет","version_id":"v2","size":2,"etag":"b","last_modified":"1970-01-01T00:00:00Z"}\n'
)
INFO = StateInfo(GOLDEN_ID, "bucket1", 1_795_176_000_000, "backup", 3, 42, "ok")
CHANGES = [
    Change("config", Entry("config", "null", 0, "", 1_795_175_999_123)),
    Change('data/"\x01', None),
    Change("Привет", Entry("Привет", "v2", 2, "b", 0)),
]


def written(count: int = 3) -> bytes:
    file = io.BytesIO()
    write_delta(INFO, "b" * 64, iter(CHANGES), count, file)
    return file.getvalue()


def test_the_golden_delta() -> None:
    assert gzip.decompress(written()).decode() == GOLDEN
    assert delta_header_text(INFO, "b" * 64, 3) == GOLDEN.splitlines(keepends=True)[0]


def test_two_deltas_are_the_same_byte_for_byte() -> None:
    assert written() == written()
    assert written()[3:8] == bytes(5)  # no name, no time


@pytest.mark.parametrize("count", [2, 4])
def test_the_number_of_changes_is_checked(count: int) -> None:
    with pytest.raises(ValueError, match=f"3 changes, and {count} announced"):
        written(count)


# --- when to write which -----------------------------------------------------------------------------


def test_the_first_state_is_written_as_a_whole() -> None:
    assert is_full_due(0, [], 0)


def test_a_whole_is_due_when_the_deltas_since_have_come_to_its_size() -> None:
    assert not is_full_due(1000, [], 999)
    assert is_full_due(1000, [], 1000)
    assert not is_full_due(1000, [400, 500], 99)
    assert is_full_due(1000, [400, 500], 100)


def test_a_whole_is_due_after_a_hundred_deltas() -> None:
    assert not is_full_due(10**9, [1] * 99, 1)
    assert is_full_due(10**9, [1] * 100, 1)


@given(steps=st.lists(st.tuples(st.integers(1, 500), st.booleans()), min_size=1, max_size=400))
def test_files_take_a_constant_factor_of_what_changed(steps: list[tuple[int, bool]]) -> None:
    """Whatever is added or replaced, while the state grows: three times that and the whole states every hundred."""
    size, full, total, churn, rare, deltas = 1000, 0, 0, 0, 0, list[int]()
    for delta, grows in steps:
        size += delta * grows
        churn += delta
        if is_full_due(full, deltas, delta):
            rare += size if len(deltas) >= 100 else 0
            full, deltas = size, []
            total += size
        else:
            deltas.append(delta)
            total += delta
    assert total <= 1000 + 3 * churn + rare
