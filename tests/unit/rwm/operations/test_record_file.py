"""Records of operations as files: their form never changes, and a forged one is refused in bounded memory."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwm.errors import BadState
from rwm.location import Location
from rwm.model import Operation, OperationChange
from rwm.operations import open_record, parse_record_key, record_key, record_lines
from rwm.operations import record_file as module

# If this differs, records that are kept in buckets cannot be read any more. Do not adapt it.
GOLDEN = (
    '{"format":"rwm-operation-1","id":"0123456789abcdef","kind":"roll-back","bucket":"bucket1","prefix":"host1/",'
    '"at":"2026-11-20T12:00:00Z","account":"admin","note":"the \\"worst\\" day","ended_at":"2026-11-20T12:00:09Z"}\n'
    '{"did":"copied","key":"host1/data/a","version_id":"v3","source":"v1","before":"v2"}\n'
    '{"did":"marked","key":"host1/Привет","version_id":"v4","before":"v1"}\n'
    '{"did":"unmarked","key":"host1/c","version_id":"m1","at":"2026-11-20T11:59:59.123Z"}\n'
    '{"did":"deleted","key":"host1/d","version_id":"v9","at":"2026-11-20T11:59:59Z","why":"no kept state needs it"}\n'
)
AT = 1_795_176_000_000
OPERATION = Operation(
    "0123456789abcdef", "roll-back", Location("bucket1", "host1/"), AT, "admin", 'the "worst" day', AT + 9000
)
CHANGES = [
    OperationChange("copied", "host1/data/a", "v3", "v1", "v2"),
    OperationChange("marked", "host1/Привет", "v4", "", "v1"),
    OperationChange("unmarked", "host1/c", "m1", at=AT - 877),
    OperationChange("deleted", "host1/d", "v9", at=AT - 1000, why="no kept state needs it"),
]


def written(operation: Operation = OPERATION, changes: Iterable[OperationChange] = CHANGES) -> bytes:
    return b"".join(record_lines(operation, changes))


def read(content: bytes) -> tuple[Operation, list[OperationChange]]:
    record = open_record(io.BytesIO(content))
    return record.operation, list(record.changes())


def test_the_golden_record() -> None:
    assert written().decode() == GOLDEN
    assert read(GOLDEN.encode()) == (OPERATION, CHANGES)
    assert read(gzip.compress(GOLDEN.encode())) == (OPERATION, CHANGES)


def test_its_key_names_it() -> None:
    key = record_key(OPERATION)
    assert key == "rwm/admin/operations/2026-11-20T12:00:00Z-roll-back-0123456789abcdef.jsonl.gz"
    assert parse_record_key(key) == ("roll-back", "0123456789abcdef")
    assert parse_record_key(f"host1/{key}") is None
    assert parse_record_key(key + "x") is None


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
TIMES = st.integers(0, 1 << 45)


@given(
    st.builds(Operation, st.just("0" * 16), st.just("prune"), st.just(Location("b")), TIMES, TEXTS, TEXTS,
              st.none() | TIMES),
    st.lists(st.builds(OperationChange, st.sampled_from(["copied", "marked", "unmarked", "deleted", "locked"]),
                       TEXTS.filter(bool), TEXTS, TEXTS, TEXTS, TIMES, TEXTS, TIMES, TEXTS, TIMES)),
)  # fmt: skip
def test_what_is_written_is_read(operation: Operation, changes: list[OperationChange]) -> None:
    assert read(written(operation, changes)) == (operation, changes)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("rwm-operation-1", "rwm-operation-2"),
        ("0123456789abcdef", "0123456789ABCDEF"),
        ('"kind":"roll-back"', '"kind":"../roll"'),
        ('"bucket":"bucket1"', '"bucket":"../b"'),
        ('"prefix":"host1/"', '"prefix":"host1"'),
        ('"at":"2026-11-20T12:00:00Z"', '"at":"9999-11-20T12:00:00Z"'),
        ('"at":"2026-11-20T12:00:00Z"', '"at":"2026-11-20T12:00:00.000Z"'),
        ('"note":', '"note": '),
        ('"did":"copied"', '"did":"forgiven"'),
        ('"did":"copied",', '"did":"copied","did":"copied",'),
        ('"version_id":"v3"', '"version_id":3'),
        ('"version_id":"v3"', '"version_id":""'),
        ('"key":"host1/c"', '"key":""'),
        ('"source":"v1","before":"v2"', '"before":"v2","source":"v1"'),
        ("Привет", "\\u041f"),
        ("}\n", "}"),
    ],
)
def test_any_other_form_is_refused(old: str, new: str) -> None:
    assert old in GOLDEN
    with pytest.raises(BadState):
        read(GOLDEN.replace(old, new).encode())


@pytest.mark.parametrize("content", [b"", b"\n", b"[]\n", b"\xff\n", b"{" * 100_000, b"\x1f\x8b1234", b"{}\n"])
def test_what_is_no_record_is_refused(content: bytes) -> None:
    with pytest.raises(BadState):
        read(content)


def test_a_record_with_too_many_changes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CHANGES", 3)
    with pytest.raises(BadState, match="more than 3 changes"):
        read(written())


def test_a_line_without_end_is_refused_early() -> None:
    bomb = gzip.compress(bytes(50 << 20), 9)
    with pytest.raises(BadState, match="longer than"):
        read(bomb)
