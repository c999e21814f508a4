"""Reading state files: what was written comes back, and everything else is a BadState that says what is wrong."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tracemalloc
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rwm.errors import BadState
from rwm.model import Change, Entry, StateInfo
from rwm.statefile.canonical import TIME_LIMIT, canonical_form, identified
from rwm.statefile.delta import write_delta
from rwm.statefile.lines import LINE_MAX
from rwm.statefile.original import OriginalState
from rwm.statefile.reader import DeltaState, FullState, open_state_file
from tests.unit.rwm.statefile.test_canonical import ENTRIES, GOLDEN, GOLDEN_ID, INFO

BASE = "b" * 64
CHANGES = [Change("a", None), *(Change(entry.key, entry) for entry in ENTRIES), Change("я", None)]


def delta_file() -> bytes:
    file = io.BytesIO()
    write_delta(replace(INFO, id=GOLDEN_ID), BASE, CHANGES, len(CHANGES), file)
    return gzip.decompress(file.getvalue())


DELTA = delta_file().decode()


def read(data: bytes) -> tuple[StateInfo, list[Any]]:
    state = open_state_file(io.BytesIO(data))
    if isinstance(state, FullState):
        entries = list(state.entries())
        return state.info, entries
    if isinstance(state, OriginalState):
        return state.info(0, 0), list(state.latest())
    return state.info, list(state.changes())


# --- what was written comes back ---------------------------------------------------------------------


def test_a_state_of_a_prefix() -> None:
    info = replace(INFO, prefix="host1/")
    entries = [entry._replace(key=f"host1/{entry.key}") for entry in ENTRIES]
    data = b"".join(canonical_form(info, entries))
    assert read(data) == (replace(info, id=hashlib.sha256(data).hexdigest()), entries)


@pytest.mark.parametrize("key", ["host2/config", "host1", "host10/config", "config"])
def test_a_key_outside_of_the_prefix(key: str) -> None:
    info = replace(INFO, prefix="host1/", objects=1, bytes=0)
    entry = ENTRIES[0]._replace(key=key)
    with pytest.raises(BadState, match="line 2: a key that is not below host1/"):
        read(b"".join(canonical_form(info, [entry])))


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_the_golden_file(pack: Callable[[bytes], bytes]) -> None:
    state = open_state_file(io.BytesIO(pack(GOLDEN.encode())))
    assert isinstance(state, FullState)
    assert (state.info, state.id) == (INFO, "")
    assert list(state.entries()) == ENTRIES
    assert state.info == replace(INFO, id=GOLDEN_ID)
    assert state.id == GOLDEN_ID


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_delta(pack: Callable[[bytes], bytes]) -> None:
    state = open_state_file(io.BytesIO(pack(DELTA.encode())))
    assert isinstance(state, DeltaState)
    assert (state.info, state.base, state.count) == (replace(INFO, id=GOLDEN_ID), BASE, 5)
    assert list(state.changes()) == CHANGES


texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6)
entries = st.lists(
    st.builds(
        Entry,
        texts.filter(lambda key: not key.startswith("rwm/")),
        texts,
        st.integers(0, (1 << 63) - 1),
        st.text(st.characters(codec="utf-8"), max_size=4),
        st.integers(0, TIME_LIMIT - 1),
    ),
    max_size=4,
    unique_by=lambda entry: entry.key,
).map(sorted)


@given(entries=entries, bucket=texts, outcome=st.sampled_from([None, "ok", "partial", "failed"]))
def test_every_state_that_is_written_is_read(entries: list[Entry], bucket: str, outcome: Any) -> None:
    total = sum(entry.size for entry in entries)
    info = StateInfo("", bucket, 5000, "capture", len(entries), total, outcome)
    if total >= 1 << 63:
        return
    file = io.BytesIO()
    info = identified(info, entries, file)
    assert read(file.getvalue()) == (info, entries)


def test_memory_does_not_grow_with_the_file() -> None:
    count = 50_000
    file = io.BytesIO()
    identified(StateInfo("", "b", 0, "past", count, 0), (Entry(f"k{n:09d}", "v", 0, "", n) for n in range(count)), file)
    file.seek(0)
    tracemalloc.start()
    state = open_state_file(file)
    assert isinstance(state, FullState)
    assert sum(1 for _ in state.entries()) == count
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


# --- faults ------------------------------------------------------------------------------------------


def fault(data: bytes | str) -> str:
    with pytest.raises(BadState) as caught:
        read(data if isinstance(data, bytes) else data.encode())
    assert "\n" not in caught.value.message
    return caught.value.message


def test_a_file_that_is_none() -> None:
    assert fault(b"") == "the file is empty"
    assert fault(gzip.compress(b"")) == "the file is empty"
    assert fault(b"PK\x03\x04") == "neither JSON nor gzip, as state files are"
    assert fault(b"[1]\n") == "neither JSON nor gzip, as state files are"
    assert fault(b'{"a":1}\n') == "not a state file of the original tool: it has no bucket_name"
    assert fault('{"format":"rwm-state-9"}\n').startswith("format 'rwm-state-9' is not known: ")
    assert fault('{"format":["x"]}\n').startswith("format \"['x']\" is not known: ")
    assert fault('{"format":}\n') == "line 1: not JSON"


def test_a_file_that_is_cut_off() -> None:
    lines = GOLDEN.splitlines(keepends=True)
    assert fault("".join(lines[:3])) == "the file is cut off: 2 of 3 entries"
    assert fault(GOLDEN[:-1]) == "the file is cut off: 2 of 3 entries"
    assert fault(GOLDEN[:-9]) == "the file is cut off: 2 of 3 entries"
    assert fault(lines[0]) == "the file is cut off: 0 of 3 entries"
    assert fault(lines[0][:-5]) == "the file is cut off before the end of its header"
    assert fault(gzip.compress(GOLDEN.encode())[:-1]) == "the file is cut off: 3 of 3 entries"
    assert fault(gzip.compress(GOLDEN.encode())[:20]) == "the file is cut off before the end of its header"
    assert fault("".join(DELTA.splitlines(keepends=True)[:3])) == "the file is cut off: 2 of 5 changes"


def test_what_is_not_sorted() -> None:
    head, *lines = GOLDEN.splitlines(keepends=True)
    assert fault("".join([head, lines[1], lines[0], lines[2]])) == "line 3: keys are not sorted"
    assert fault("".join([head, lines[0], lines[0], lines[2]])) == "line 3: a key is repeated"


def test_what_does_not_add_up() -> None:
    more = '{"key":"я","version_id":"v2","size":2,"etag":"b","last_modified":"1970-01-01T00:00:00Z"}\n'
    assert fault(GOLDEN + more) == "line 5: the header says 3 entries, but there are more"
    assert fault(GOLDEN + "\n") == "line 5: the header says 3 entries, but there are more"
    assert fault(GOLDEN.replace('"bytes":42', '"bytes":43')) == "the header says 43 bytes, the entries have 42"
    assert fault(DELTA + more) == "line 7: the header says 5 changes, but there are more"


def test_it_stops_at_the_first_entry_too_many() -> None:
    """However many follow."""
    packed = gzip.compress(GOLDEN.encode() + b"\n" * (64 << 20))
    file = io.BytesIO(packed)
    state = open_state_file(file)
    assert isinstance(state, FullState)
    tracemalloc.start()
    with pytest.raises(BadState, match="there are more"):
        list(state.entries())
    assert tracemalloc.get_traced_memory()[1] < 32 << 20
    tracemalloc.stop()


def test_a_line_has_a_bound() -> None:
    head, first, *_ = GOLDEN.splitlines(keepends=True)
    for size in (LINE_MAX, 10 * LINE_MAX):
        long = first.replace("config", "x" * size)
        assert fault(head + long) == f"line 2: longer than {LINE_MAX} bytes"
        assert fault(gzip.compress((head + long[:-1]).encode())) == f"line 2: longer than {LINE_MAX} bytes"
    assert fault('{"format":"' + "x" * LINE_MAX) == f"line 1: longer than {LINE_MAX} bytes"


ENTRY = GOLDEN.splitlines()[1]


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (ENTRY, "", "not JSON"),
        (ENTRY, "[]", "not a JSON object"),
        (ENTRY, "null", "not a JSON object"),
        (ENTRY, "[" * 60_000, "not JSON"),
        (ENTRY, "{}", "size is not a size"),
        (ENTRY, ENTRY + " ", "not in the canonical form"),
        (ENTRY, ENTRY + "\r", "not in the canonical form"),
        (ENTRY, "\ufeff" + ENTRY, "not JSON"),
        ('{"key"', '{ "key"', "not in the canonical form"),
        ('{"key"', '{"x":1,"key"', "not in the canonical form"),
        ('{"key"', '{"key":"a","key"', "not in the canonical form"),
        ("config", "confi\\u0067", "not in the canonical form"),
        ("config", "\\ud800", "not in the canonical form"),
        ("config", "con\tfig", "not JSON"),
        ("config", "", "key is empty"),
        ("config", "rwm/config", "a key below rwm/"),
        ('"config"', "7", "key is not text"),
        ('"null"', "null", "version_id is not text"),
        ('"null"', '""', "version_id is empty"),
        ('"size":0', '"size":-1', "size is not a size"),
        ('"size":0', '"size":-0', "not in the canonical form"),
        ('"size":0', '"size":0.0', "size is not a size"),
        ('"size":0', '"size":false', "size is not a size"),
        ('"size":0', '"size":NaN', "size is not a size"),
        ('"size":0', '"size":1e400', "size is not a size"),
        ('"size":0', '"size":"0"', "size is not a size"),
        ('"size":0', f'"size":{1 << 63}', "size is not a size"),
        ('"size":0', '"size":' + "9" * 5000, "not JSON"),
        ('"etag":""', '"etag":null', "etag is not text"),
        ("11:59:59.123Z", "11:59:59.12Z", "last_modified is not a time"),
        ("11:59:59.123Z", "11:59:59.000Z", "not in the canonical form"),
        ("11:59:59.123Z", "11:59:59.1234Z", "not in the canonical form"),
        ("11:59:59.123Z", "11:59:59+00:00", "last_modified is not a time"),
        ("11:59:59.123Z", "11:59:60Z", "not in the canonical form"),
        ("11:59:59.123Z", "24:00:00Z", "last_modified is not a time"),
        ("2026-11-20T11", "2026-W47-5T11", "not in the canonical form"),
        ("2026-11-20T11", "2026-11-31T11", "last_modified is not a time"),
        ("2026-11-20T11", "1969-11-20T11", "last_modified is not between 1970 and 6000"),
        ("2026-11-20T11", "6000-11-20T11", "last_modified is not between 1970 and 6000"),
        ('"2026-11-20T11:59:59.123Z"', "1", "last_modified is not text"),
    ],
)
def test_an_entry_that_is_none(old: str, new: str, why: str) -> None:
    head, first, *rest = GOLDEN.splitlines(keepends=True)
    assert old in first
    assert fault("".join([head, first.replace(old, new), *rest])) == f"line 2: {why}"


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('"bucket1"', '""', "bucket is empty"),
        ('"bucket1"', "1", "bucket is not text"),
        ('"bucket1"', '"bucket1","prefix":1', "prefix is not text"),
        ('"bucket1"', '"bucket1","prefix":""', "prefix is empty"),
        ('"bucket1"', '"bucket1","prefix":"host1"', "prefix is not in the canonical form"),
        ('"bucket1"', '"bucket1","prefix":"a//b/"', "prefix is not a prefix"),
        ('"bucket1"', '"bucket1","prefix":"../"', "prefix is not a prefix"),
        ('"bucket1"', '"bucket1","prefix":"rwm/"', "prefix is not a prefix"),
        ("12:00:00Z", "12:00:00.500Z", "captured_at is not a whole second"),
        ("12:00:00Z", "noon", "captured_at is not a time"),
        ('"backup"', '"guess"', "origin is not known"),
        ('"backup"', '["backup"]', "origin is not known"),
        ('"ok"', '"fine"', "outcome is not known"),
        ('"ok"', "{}", "outcome is not known"),
        ('"objects":3', '"objects":-3', "objects is not a count"),
        ('"objects":3', '"objects":true', "objects is not a count"),
        ('"objects":3', f'"objects":{1 << 63}', "objects is not a count"),
        ('"bytes":42', '"bytes":4.2e1', "bytes is not a count"),
        ('"bytes":42', '"bytes":42,"more":1', "not in the canonical form"),
        ('"bytes":42', '"bytes":42,"bytes":42', "not in the canonical form"),
    ],
)
def test_a_header_that_is_none(old: str, new: str, why: str) -> None:
    for file in (GOLDEN, DELTA):
        head, *rest = file.splitlines(keepends=True)
        assert old in head
        assert fault("".join([head.replace(old, new), *rest])) == f"line 1: {why}"


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (BASE, BASE[1:], "line 1: base is not a state id"),
        (BASE, BASE.upper(), "line 1: base is not a state id"),
        (BASE, GOLDEN_ID, "line 1: a delta that is based on itself"),
        (f'"id":"{GOLDEN_ID}",', "", "line 1: id is not text"),
        ('"changes":5', '"changes":"5"', "line 1: changes is not a count"),
        ('"changes":5', '"changes":6', "the file is cut off: 5 of 6 changes"),
        ('"key":"a","removed":true', '"key":"a","removed":false', "line 2: not in the canonical form"),
        ('"key":"a","removed":true', '"removed":true,"key":"a"', "line 2: not in the canonical form"),
        ('"key":"a","removed":true', '"key":"a","removed":true,"size":1', "line 2: not in the canonical form"),
        ('"key":"a","removed":true', '"removed":true', "line 2: key is not text"),
        ('"key":"a","removed":true', '"key":"rwm/a","removed":true', "line 2: a key below rwm/"),
        ('"key":"config"', '"key":"Config"', "line 3: keys are not sorted"),
    ],
)
def test_a_delta_that_is_none(old: str, new: str, why: str) -> None:
    assert old in DELTA
    assert fault(DELTA.replace(old, new)) == why


def test_what_is_not_utf8() -> None:
    assert fault(GOLDEN.encode().replace(b"config", b"\xff")) == "line 2: not UTF-8"
    assert fault(GOLDEN.encode().replace(b"config", b"\xed\xa0\x80")) == "line 2: not UTF-8"  # a surrogate
    assert fault(GOLDEN.encode().replace(b"bucket1", b"\xff")) == "line 1: not UTF-8"


# --- damage of any kind ------------------------------------------------------------------------------

edits = st.lists(
    st.tuples(st.integers(0, 2000), st.integers(0, 3), st.binary(max_size=3) | st.sampled_from([b"\n", b'"', b"0"])),
    min_size=1,
    max_size=3,
)


@example(full=True, packed=False, edits=[(0, 2000, b"")])
@given(full=st.booleans(), packed=st.booleans(), edits=edits)
def test_damage_is_a_bad_state_or_changes_nothing(
    full: bool, packed: bool, edits: list[tuple[int, int, bytes]]
) -> None:
    """Or it is another state, which has another id."""
    whole = (GOLDEN if full else DELTA).encode()
    data = gzip.compress(whole) if packed else whole
    for place, removed, added in edits:
        place %= len(data) + 1
        data = data[:place] + added + data[place + removed :]
    try:
        info, records = read(data)
    except BadState as error:
        assert "\n" not in error.message
        return
    if packed or data == whole:
        assert (info, records) == read(whole)
    elif full:
        assert info.id != GOLDEN_ID


@given(full=st.booleans(), packed=st.booleans(), size=st.integers(0, 2000))
def test_a_beginning_is_never_taken_for_the_whole(full: bool, packed: bool, size: int) -> None:
    whole = (GOLDEN if full else DELTA).encode()
    data = gzip.compress(whole) if packed else whole
    if size < len(data):
        fault(data[:size])


def read_to_its_end(file: io.BytesIO) -> None:
    opened = open_state_file(file)
    assert isinstance(opened, OriginalState)  # what it is of is known only then
    deque(opened.latest(), maxlen=0)


@given(data=st.binary(max_size=40), packed=st.booleans(), head=st.booleans())
def test_anything_else_is_a_bad_state(data: bytes, packed: bool, head: bool) -> None:
    data = b'{"format":' + data if head else data
    file = io.BytesIO(gzip.compress(data) if packed else data)
    with pytest.raises(BadState):
        read_to_its_end(file)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(number=st.integers(0, 4), field=st.integers(0, 9), value=json_values, full=st.booleans())
def test_a_field_of_any_other_type_is_a_bad_state_or_means_the_same_when_written(
    number: int, field: int, value: Any, full: bool
) -> None:
    lines = (GOLDEN if full else DELTA).splitlines()
    number %= len(lines)
    record = json.loads(lines[number])
    record[list(record)[field % len(record)]] = value
    lines[number] = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    data = ("\n".join(lines) + "\n").encode(errors="surrogatepass")
    try:
        info, records = read(data)
    except BadState:
        return
    if full:
        assert identified(info, records).id == info.id


# --- one entry point ---------------------------------------------------------------------------------


def test_any_state_file_can_be_opened() -> None:
    document = {"bucket_name": "b", "time_start": "2023-11-20 02:19:41.5+00:00", "versions": []}
    original = gzip.compress(json.dumps(document).encode())
    assert isinstance(open_state_file(io.BytesIO(GOLDEN.encode())), FullState)
    assert isinstance(open_state_file(io.BytesIO(gzip.compress(DELTA.encode()))), DeltaState)
    state = open_state_file(io.BytesIO(original), "rwm/state_2023-11-20T03:19:42+01:00.json.gz")
    assert isinstance(state, OriginalState)
    assert list(state.latest()) == []
    assert state.info(0, 0).bucket == "b"
