"""The state's canonical form and id: both are promises that must never change."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rwm.model import Entry, StateInfo
from rwm.statefile.canonical import (
    FileName,
    canonical_form,
    delta_key,
    entry_json,
    entry_text,
    file_key,
    header_text,
    identified,
    line_text,
    parse_file_key,
)
from rwm.times import iso

# If one of these two differs, ids of states that are kept in buckets prove nothing any more. Do not adapt them.
GOLDEN = (
    '{"format":"rwm-state-1","bucket":"bucket1","captured_at":"2026-11-20T12:00:00Z","origin":"backup",'
    '"outcome":"ok","objects":3,"bytes":42}\n'
    '{"key":"config","version_id":"null","size":0,"etag":"","last_modified":"2026-11-20T11:59:59.123Z"}\n'
    '{"key":"data/00/\\"quoted\\"\\\\\\n\\u0001","version_id":"v1","size":40,"etag":"a-1",'
    '"last_modified":"2026-11-20T11:59:59Z"}\n'
    '{"key":"Привет/\U0001f600","version_id":"v2","size":2,"etag":"b","last_modified":"1970-01-01T00:00:00Z"}\n'
)
GOLDEN_ID = "a9a5a1ab366bafb92a957e1e652b8192ff42fd9e30232f6187055196e3c00bbe"

INFO = StateInfo("", "bucket1", 1_795_176_000_000, "backup", 3, 42, "ok")
ENTRIES = [
    Entry("config", "null", 0, "", 1_795_175_999_123),
    Entry('data/00/"quoted"\\\n\x01', "v1", 40, "a-1", 1_795_175_999_000),
    Entry("Привет/\U0001f600", "v2", 2, "b", 0),
]


def test_the_golden_file() -> None:
    assert b"".join(canonical_form(INFO, ENTRIES)).decode() == GOLDEN


def test_the_golden_id() -> None:
    assert identified(INFO, ENTRIES).id == GOLDEN_ID
    assert hashlib.sha256(GOLDEN.encode()).hexdigest() == GOLDEN_ID


def test_a_state_without_entries_and_without_a_backup() -> None:
    info = StateInfo("", "b", 0, "past", 0, 0)
    assert b"".join(canonical_form(info, [])) == (
        b'{"format":"rwm-state-1","bucket":"b","captured_at":"1970-01-01T00:00:00Z","origin":"past",'
        b'"outcome":null,"objects":0,"bytes":0}\n'
    )


texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6)
entries = st.lists(
    st.builds(Entry, texts, st.sampled_from(["null", "v1", "v2"]), st.integers(0, 9), texts, st.integers(0, 10**12)),
    max_size=5,
    unique_by=lambda entry: entry.key,
).map(sorted)


@given(entries=entries)
def test_the_id_is_the_sha256_of_the_unpacked_copy(entries: list[Entry]) -> None:
    info = StateInfo("", "bucket1", 5000, "capture", len(entries), sum(entry.size for entry in entries))
    copy = io.BytesIO()
    found = identified(info, entries, copy)
    plain = gzip.decompress(copy.getvalue())
    assert found == replace(info, id=hashlib.sha256(plain).hexdigest())
    assert identified(info, entries).id == found.id
    assert plain == b"".join(canonical_form(found, entries))


@given(entries=entries)
def test_every_line_is_json_and_says_its_entry(entries: list[Entry]) -> None:
    info = StateInfo("", "bucket1", 5000, "capture", len(entries), 0)
    lines = b"".join(canonical_form(info, entries)).decode().split("\n")
    assert lines.pop() == ""
    assert [json.loads(line) for line in lines[1:]] == [entry_json(entry) for entry in entries]


@given(one=entries, other=entries)
def test_different_entries_have_different_ids(one: list[Entry], other: list[Entry]) -> None:
    info = StateInfo("", "bucket1", 5000, "capture", 1, 1)
    assert (identified(info, one).id == identified(info, other).id) == (one == other)


def test_everything_in_the_header_counts_but_the_id() -> None:
    found = identified(INFO, ENTRIES)
    assert identified(found, ENTRIES).id == found.id
    for changed in (
        replace(INFO, bucket="bucket2"),
        replace(INFO, captured_at=INFO.captured_at + 1000),
        replace(INFO, origin="capture"),
        replace(INFO, outcome="partial"),
        replace(INFO, outcome=None),
        replace(INFO, objects=2),
        replace(INFO, bytes=41),
    ):
        assert identified(changed, ENTRIES).id != found.id


any_text = st.text(max_size=8) | st.text(st.characters(max_codepoint=0x2F), max_size=4)


@example(key="\x00\x1f\x7f\x80\u2028", version_id='"', size=0, etag="\\", time=999)
@example(key="/", version_id="v", size=1 << 63, etag="\b\f\n\r\t", time=253_402_300_799_999)
@given(
    key=any_text,
    version_id=any_text,
    size=st.integers(0, 1 << 64),
    etag=any_text,
    time=st.integers(-62_135_596_800_000, 253_402_300_799_999),
)
def test_a_line_is_what_the_json_encoder_makes_of_it(
    key: str, version_id: str, size: int, etag: str, time: int
) -> None:
    """Of all times that a date can say, and all of Unicode."""
    entry = Entry(key, version_id, size, etag, time)
    expected = json.dumps(entry_json(entry), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    assert entry_text(entry).encode() == line_text(entry_json(entry)).encode() == expected
    plain = ENTRIES[0]
    assert b"".join(canonical_form(INFO, [entry, plain, entry])) == b"".join(
        [header_text(INFO).encode(), expected, entry_text(plain).encode(), expected]
    )


def test_a_lone_surrogate_is_no_text() -> None:
    for entry in (Entry("\ud800", "v", 0, "", 0), Entry("k", "\udfff", 0, "", 0), Entry("k\n", "v", 0, "\ud800", 0)):
        with pytest.raises(UnicodeEncodeError):
            entry_text(entry).encode()
        with pytest.raises(UnicodeEncodeError):
            identified(INFO, [entry])


def test_pieces_are_whole_lines_and_not_one_for_each() -> None:
    many = [Entry(f"k{n:05d}", "v", 0, "", 0) for n in range(5000)]
    pieces = list(canonical_form(INFO, many))
    assert len(pieces) < 10
    assert all(piece.endswith(b"\n") for piece in pieces)
    assert b"".join(pieces).count(b"\n") == 5001


def test_two_copies_are_the_same_byte_for_byte() -> None:
    """Whenever and wherever they were packed."""
    first, second = io.BytesIO(), io.BytesIO()
    identified(INFO, ENTRIES, first)
    identified(INFO, ENTRIES, second)
    assert first.getvalue() == second.getvalue()
    assert first.getvalue()[4:8] == bytes(4)


def test_where_a_state_is_kept() -> None:
    info = replace(INFO, id=GOLDEN_ID)
    assert file_key(info) == f"rwm/states/2026-11-20T12:00:00Z-{GOLDEN_ID}.jsonl.gz"
    assert iso(info.captured_at) in file_key(info)
    of_prefix = replace(info, prefix="host1/")
    assert file_key(of_prefix) == f"host1/{file_key(info)}"


def test_the_header_names_a_prefix_only_where_there_is_one() -> None:
    header = header_text(INFO)
    assert "prefix" not in header
    of_prefix = header_text(replace(INFO, prefix="host1/"))
    assert of_prefix == header.replace('"captured_at"', '"prefix":"host1/","captured_at"')


@given(
    prefix=st.sampled_from(["", "host1/", "sites/a\n b/host1/", "x/rwm/"]),
    second=st.integers(0, 4_000_000_000),
    digest=st.binary(min_size=32, max_size=32),
)
def test_names_of_state_files_are_read_back(prefix: str, second: int, digest: bytes) -> None:
    info = replace(INFO, id=digest.hex(), captured_at=second * 1000, prefix=prefix)
    assert parse_file_key(file_key(info)) == FileName(prefix, info.captured_at, info.id, is_delta=False)
    assert parse_file_key(delta_key(info)) == FileName(prefix, info.captured_at, info.id, is_delta=True)
    assert delta_key(info) == file_key(info).replace(".jsonl.gz", ".delta.jsonl.gz")


@pytest.mark.parametrize(
    "key",
    [
        f"rwm/states/2026-11-20T12:00:00Z-{GOLDEN_ID}.jsonl",
        f"rwm/states/2026-11-20T12:00:00Z-{GOLDEN_ID}.jsonl.gz\n",
        f"rwm/states/2026-11-20T12:00:00Z-{GOLDEN_ID}Xjsonl.gz",
        f"rwm/states/2026-11-20T12:00:00.000Z-{GOLDEN_ID}.jsonl.gz",
        f"rwm/states/2026-11-20T12:00:00+00:00-{GOLDEN_ID}.jsonl.gz",
        f"rwm/states/2026-13-20T12:00:00Z-{GOLDEN_ID}.jsonl.gz",
        f"rwm/states/2026-11-20T12:00:60Z-{GOLDEN_ID}.jsonl.gz",
        f"rwm/states/1969-11-20T12:00:00Z-{GOLDEN_ID}.jsonl.gz",
        f"rwm/states/6000-01-01T00:00:00Z-{GOLDEN_ID}.jsonl.gz",
        f"rwm/states/x/2026-11-20T12:00:00Z-{GOLDEN_ID}.jsonl.gz",
        f"rwm/states/2026-11-20T12:00:00Z-{GOLDEN_ID[1:]}.jsonl.gz",
        f"rwm/states/2026-11-20T12:00:00Z-{GOLDEN_ID.upper()}.jsonl.gz",
        f"states/2026-11-20T12:00:00Z-{GOLDEN_ID}.jsonl.gz",
        f"rwm/states/\u0662026-11-20T12:00:00Z-{GOLDEN_ID}.jsonl.gz",
        "rwm/states/",
        "",
    ],
)
def test_other_names_are_no_state_files(key: str) -> None:
    assert parse_file_key(key) is None


def test_entries_are_ordered_by_byte() -> None:
    """Python orders text by code point, which in UTF-8 is the same."""
    keys = ["Z", "a", "é", "я", "\uffff", "\U00010000"]
    assert sorted(keys, key=str.encode) == sorted(keys) == keys
