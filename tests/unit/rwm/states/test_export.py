"""Exported states: readers get every entry back."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rwm.errors import IndexDamaged
from rwm.index import Index
from rwm.model import Entry, StateInfo
from rwm.statefile.canonical import INTEGER_LIMIT
from rwm.states.export import COLUMNS, ExportFormat, format_from_name, write_state
from rwm.states.importing import ImportSource, StateImporter
from rwm.times import parse_iso
from tests.unit.states import entry, state

# Field and line separators of some readers, and similar characters.
texts = st.text(alphabet=",\"\n\r\0\x1a\x0b\u0085\u2028\ufeff =;\t'\\aя\U0001f600", min_size=1, max_size=5)
lists = st.lists(
    st.builds(Entry, texts, texts, st.integers(0, 1 << 62), texts, st.integers(0, 10**12)),
    max_size=4,
    unique_by=lambda one: one.key,
)
entries = lists.filter(lambda contents: sum(entry.size for entry in contents) < INTEGER_LIMIT).map(sorted)
"""Upper bound of a state's bytes: no capture records more."""


def exported(info: StateInfo, contents: list[Entry], form: ExportFormat, *, is_compressed: bool = False) -> bytes:
    file = io.BytesIO()
    write_state(info, iter(contents), file, form, is_compressed=is_compressed)
    content = file.getvalue()
    assert content.startswith(b"\x1f\x8b") == is_compressed
    return gzip.decompress(content) if is_compressed else content


@example(contents=[Entry("a\rb", "\r", 1, "\r\n", 0), Entry("\ufeff", '"', 1, ",", 0)], is_compressed=False)
@given(contents=entries, is_compressed=st.booleans())
def test_csv_is_read_back_for_any_keys(contents: list[Entry], is_compressed: bool) -> None:
    content = exported(state(1, contents), contents, "csv", is_compressed=is_compressed)
    heading, *rows = csv.reader(io.StringIO(content.decode(), newline=""))
    assert heading == list(COLUMNS)
    found = [Entry(key, version, int(size), etag, parse_iso(time)) for key, version, size, etag, time in rows]
    assert found == contents


def test_csv_text() -> None:
    contents = [Entry('a,"b"', "v1", 3, "", 1500), Entry("data/00", "null", 0, "e", 0)]
    assert exported(state(1, contents), contents, "csv").decode() == (
        "key,version_id,size,etag,last_modified\n"
        '"a,""b""","v1",3,"","1970-01-01T00:00:01.500Z"\n'
        '"data/00","null",0,"e","1970-01-01T00:00:00Z"\n'
    )


@given(contents=entries, is_compressed=st.booleans())
def test_the_hash_of_the_canonical_form_is_the_id(contents: list[Entry], is_compressed: bool) -> None:
    info = state(1, contents)
    content = exported(info, contents, "jsonl", is_compressed=is_compressed)
    assert hashlib.sha256(content).hexdigest() == info.id


@given(contents=entries, is_compressed=st.booleans())
def test_an_exported_state_can_be_imported(
    tmp_path_factory: pytest.TempPathFactory, contents: list[Entry], is_compressed: bool
) -> None:
    info, file = state(1, contents), io.BytesIO()
    write_state(info, contents, file, "jsonl", is_compressed=is_compressed)

    @contextmanager
    def content() -> Iterator[IO[bytes]]:
        yield io.BytesIO(file.getvalue())

    with Index.open(tmp_path_factory.mktemp("index") / "index.sqlite") as index:
        with StateImporter(index) as importer:
            assert importer.import_state(ImportSource("state.jsonl", content, None, 0, is_stored=False)) == (info, True)
        assert [*index.entries(info)] == contents
        assert index.trust(info) == "unchecked"


@pytest.mark.parametrize("form", ["jsonl", "csv"])
@pytest.mark.parametrize("is_compressed", [True, False])
def test_the_file_stays_open_after_errors(form: ExportFormat, is_compressed: bool) -> None:
    """It may be standard output."""

    def cut_off() -> Iterator[Entry]:
        yield entry("a")
        raise IndexDamaged("one object is missing")

    for contents in ([entry("a")], cut_off()):
        file = io.BytesIO()
        try:
            write_state(state(1, []), contents, file, form, is_compressed=is_compressed)
        except IndexDamaged:
            assert not isinstance(contents, list)
        else:
            assert isinstance(contents, list)
        assert not file.closed


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("s.jsonl", ("jsonl", False)),
        ("s.csv", ("csv", False)),
        ("s.jsonl.gz", ("jsonl", True)),
        ("s.csv.gz", ("csv", True)),
        ("a.csv.jsonl", ("jsonl", False)),
        ("s.gz", None),
        ("csv", None),
        ("s.CSV", None),
        ("s.csv.gz.txt", None),
        ("", None),
    ],
)
def test_format_from_name(name: str, form: tuple[ExportFormat, bool] | None) -> None:
    assert format_from_name(name) == form


def test_a_recorded_state_is_exported(tmp_path: Path) -> None:
    contents = [entry("a,b"), entry("я\n")]
    info = state(1, contents)
    with Index.open(tmp_path / "index.sqlite") as index:
        index.record(info, contents)
        assert hashlib.sha256(exported(info, [*index.entries(info)], "jsonl")).hexdigest() == info.id
