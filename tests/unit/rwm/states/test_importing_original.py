"""Import of files of the original tool, whose entries are unsorted and whose bucket may come last."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rwm.errors import BadState
from rwm.index import Index
from rwm.model import Entry
from rwm.statefile.canonical import file_key, parse_file_key
from rwm.states.importing import ImportSource, StateImporter
from tests.unit.rwm.statefile.test_original import NAME, document, marker, version
from tests.unit.states import read_original, state

MAX = (1 << 63) - 1


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with Index.open(tmp_path / "index.sqlite") as index:
        yield index


def compressed(**fields: Any) -> bytes:
    return gzip.compress(json.dumps(document(**fields), default=str).encode())


def compressed_reversed(**fields: Any) -> bytes:
    """Markers before versions, the bucket and the time at the end."""
    members = dict(reversed(document(**fields).items()))
    return gzip.compress(json.dumps(members, default=str).encode())


def source(data: bytes, key: str = NAME) -> ImportSource:
    return ImportSource(key, lambda: io.BytesIO(data), parse_file_key(key), len(data), is_stored=True)


@pytest.mark.parametrize("form", [compressed, compressed_reversed])
def test_the_state_is_that_of_a_reader_in_memory(index: Index, form: Callable[..., bytes]) -> None:
    keys = ["b", "ö", "\U00010000", "\uffff", "a\0", "a", 'q"\\']
    markers = [marker("rwm/x", latest=True), marker("deleted", latest=True), marker("b", latest=False)]
    data = form(versions=[version(key) for key in keys], delete_markers=markers)
    info, entries = read_original(io.BytesIO(data), NAME)
    with StateImporter(index, "bucket1") as importer:
        assert importer.import_state(source(data)) == (info, True)
        assert importer.import_state(source(data)) == (info, False)
    assert [*index.entries(info)] == entries
    assert [entry.key for entry in entries] == sorted(keys)
    assert index.trust(info) == "unchecked"


@pytest.mark.parametrize(
    ("form", "fields", "why"),
    [
        (
            compressed,
            {"versions": [version("a")] * 2},
            "versions[1]: a second latest version of 'a'",
        ),
        (compressed, {"versions": [version("c")]}, "delete_markers[0]: a second latest version of 'c'"),
        (compressed_reversed, {"versions": [version("c")]}, "versions[0]: a second latest version of 'c'"),
        (
            compressed,
            {"versions": [version("a", Size=MAX), version("b", Size=MAX)]},
            "the sum of all sizes is too large",
        ),
        (compressed, {"versions": [version("a"), version("\ud800")]}, "versions[1]: Key is not Unicode"),
        (compressed, {"bucket_name": "bucket2"}, "it is of another bucket: bucket2"),
        (compressed_reversed, {"bucket_name": "bucket2"}, "it is of another bucket: bucket2"),
        (compressed, {"time_start": "noon"}, "time_start is not a time: 'noon+01:00'"),
    ],
)
def test_an_invalid_file_records_nothing(
    index: Index, form: Callable[..., bytes], fields: dict[str, Any], why: str
) -> None:
    valid = compressed()
    with StateImporter(index, "bucket1") as importer:
        for _ in range(2):
            with pytest.raises(BadState) as caught:
                importer.import_state(source(form(**fields)))
            assert caught.value.message == why
            assert index.states() == []
        info, is_new = importer.import_state(source(valid))
    assert (info, is_new) == (read_original(io.BytesIO(valid), NAME)[0], True)
    assert [*index.entries(info)] == read_original(io.BytesIO(valid), NAME)[1]


def test_the_largest_total_is_recorded(index: Index) -> None:
    data = compressed(versions=[version("a", Size=MAX - (1 << 40)), version("b", Size=1 << 40)])
    with StateImporter(index) as importer:
        assert importer.import_state(source(data))[0].bytes == MAX


def test_a_total_that_is_too_large_is_a_bad_state(index: Index) -> None:
    """Not an error of the index: the header of a delta may claim any total."""
    spool = index.import_spool()
    spool.add([Entry(key, "v1", MAX, "", 0) for key in "abc"])
    assert spool.totals() == (3, 3 * MAX)


def test_a_name_of_an_own_state_file_is_refused(index: Index) -> None:
    data = compressed()
    info, _ = read_original(io.BytesIO(data))
    other = state(5, [])
    with StateImporter(index) as importer:
        for name in (file_key(other), file_key(info)):
            with pytest.raises(BadState, match="RWM keeps no states of the original tool there"):
                importer.import_state(source(data, name))
        assert importer.import_state(source(data)) == (info, True)
