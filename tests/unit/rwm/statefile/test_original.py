"""State files of the original tool, as it writes them."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from itertools import chain, cycle, repeat
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwm.errors import BadState
from rwm.model import Entry, StateInfo
from rwm.statefile.canonical import identified
from rwm.statefile.json_stream import ELEMENT_MAX, MEMBER_MAX
from rwm.statefile.original import OriginalState, is_original_key
from rwm.times import parse_iso
from tests.unit.states import read_original

CET = timezone(timedelta(hours=1))
START = datetime(2023, 11, 20, 2, 19, 41, 123000, UTC)
NAME = "rwm/state_2023-11-20T03:20:41.345678+01:00.json.gz"


def version(key: str, **fields: Any) -> dict[str, Any]:
    """One version, as boto3 lists it."""
    return {
        "ETag": '"e1"',
        "ChecksumAlgorithm": ["CRC32"],
        "Size": 3,
        "StorageClass": "STANDARD",
        "Key": key,
        "VersionId": "v1",
        "IsLatest": True,
        "LastModified": START - timedelta(days=1),
        "Owner": {"DisplayName": "user1", "ID": "tenant$user1"},
        **fields,
    }


def marker(key: str, *, latest: bool) -> dict[str, Any]:
    return {"Owner": {"ID": "a"}, "Key": key, "VersionId": "m", "IsLatest": latest, "LastModified": START}


def document(**fields: Any) -> dict[str, Any]:
    return {
        "bucket_name": "bucket1",
        "bucket_acl": {"owner": {"ID": "tenant$admin"}, "grants": []},
        "bucket_policy": None,
        "time_start": START,
        "time_end": START + timedelta(minutes=1),
        "versions": [version("b"), version("b", VersionId="v0", IsLatest=False), version("a", Size=4)],
        "delete_markers": [marker("c", latest=True), marker("b", latest=False)],
        **fields,
    }


def packed(value: Any, default: Callable[[Any], Any] = str) -> bytes:
    return gzip.compress(json.dumps(value, default=default).encode())


def read(value: Any, name: str = "") -> tuple[StateInfo, list[Entry]]:
    return read_original(io.BytesIO(packed(value)), name)


def fault(value: Any) -> str:
    with pytest.raises(BadState) as caught:
        read(value)
    assert "\n" not in caught.value.message
    return caught.value.message


BEFORE = parse_iso("2023-11-19T02:19:41.123Z")
ENTRIES = [Entry("a", "v1", 4, "e1", BEFORE), Entry("b", "v1", 3, "e1", BEFORE)]
INFO = identified(StateInfo("", "bucket1", parse_iso("2023-11-20T02:19:41Z"), "original", 2, 7), ENTRIES)


@pytest.mark.parametrize("default", [str, datetime.isoformat])
def test_the_latest_versions_are_the_state(default: Callable[[Any], Any]) -> None:
    assert read_original(io.BytesIO(packed(document(), default))) == (INFO, ENTRIES)


def test_it_may_be_unpacked() -> None:
    assert read_original(io.BytesIO(gzip.decompress(packed(document())))) == (INFO, ENTRIES)


def test_the_id_never_changes() -> None:
    assert INFO.id == "3b46e1eb3ed478df5b84bbfb31bb4aa6e99483702171193be9dd8e7f7bfc16fd"


def test_own_objects_are_left_out() -> None:
    versions = [*document()["versions"], version(NAME), version("rwm/states/x", Size=None)]
    assert read(document(versions=versions)) == (INFO, ENTRIES)


@pytest.mark.parametrize("markers", [None, []])
def test_lists_may_be_missing(markers: list[Any] | None) -> None:
    assert read(document(delete_markers=markers)) == (INFO, ENTRIES)
    less = document(versions=markers)
    del less["delete_markers"]
    info, entries = read(less)
    assert (info.objects, info.bytes, entries) == (0, 0, [])


def test_a_version_from_before_versioning() -> None:
    (entry,) = read(document(versions=[version("k", VersionId=None)]))[1]
    assert entry.version_id == "null"


@pytest.mark.parametrize(
    ("start", "name", "second"),
    [
        (START, "", "2023-11-20T02:19:41Z"),
        (START, NAME, "2023-11-20T02:19:41Z"),
        (START.astimezone(CET), "", "2023-11-20T02:19:41Z"),
        (START.astimezone(CET).replace(tzinfo=None), NAME, "2023-11-20T02:19:41Z"),
        (START.astimezone(CET).replace(tzinfo=None), f"/tmp/{NAME}", "2023-11-20T02:19:41Z"),
        (START.replace(tzinfo=None), "", "2023-11-20T02:19:41Z"),
        (START.replace(tzinfo=None), "copy.json.gz", "2023-11-20T02:19:41Z"),
        (START.replace(tzinfo=None), "state_2023-11-20T02:19:41.json.gz", "2023-11-20T02:19:41Z"),
    ],
)
def test_a_local_time_has_the_zone_of_the_name(start: datetime, name: str, second: str) -> None:
    """The original wrote the local time into the file, and its zone into the name."""
    for default in (str, datetime.isoformat):
        file = io.BytesIO(packed(document(time_start=start), default))
        assert read_original(file, name)[0].captured_at == parse_iso(second)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"bucket_name": None}, "not a state file of the original tool: it has no bucket_name"),
        ({"bucket_name": ""}, "not a state file of the original tool: it has no bucket_name"),
        ({"time_start": None}, "not a state file of the original tool: it has no time_start"),
        ({"time_start": "noon"}, "time_start is not a time: 'noon'"),
        ({"time_start": "1969-12-31"}, "time_start is not between 1970 and 6000: '1969-12-31'"),
        ({"time_start": "6000-01-01"}, "time_start is not between 1970 and 6000: '6000-01-01'"),
        ({"versions": {}}, "versions is not a list"),
        ({"versions": [1]}, "versions[0] has no Key"),
        ({"versions": [version("")]}, "versions[0] has no Key"),
        ({"versions": [version("a"), version("b", IsLatest=None)]}, "versions[1] does not say whether it IsLatest"),
        ({"versions": [version("a", IsLatest="true")]}, "versions[0] does not say whether it IsLatest"),
        ({"versions": [version("a"), version("a")]}, "versions[1]: a second latest version of 'a'"),
        ({"versions": [version("c")]}, "delete_markers[0]: a second latest version of 'c'"),
        ({"versions": [version("a", VersionId="")]}, "versions[0]: VersionId is not a version id"),
        ({"versions": [version("a", VersionId=7)]}, "versions[0]: VersionId is not a version id"),
        ({"versions": [version("a", Size=-1)]}, "versions[0]: Size is not a size"),
        ({"versions": [version("a", Size=True)]}, "versions[0]: Size is not a size"),
        ({"versions": [version("a", Size=1 << 63)]}, "versions[0]: Size is not a size"),
        ({"versions": [version("a", ETag=1)]}, "versions[0]: ETag is not text"),
        ({"versions": [version("a", LastModified=None)]}, "versions[0]: LastModified is not a time"),
        ({"versions": [version("a", LastModified="x")]}, "versions[0]: LastModified is not a time: 'x'"),
        ({"versions": [version("a", Size=(1 << 63) - 1), version("b")]}, "the sum of all sizes is too large"),
        ({"versions": [version("\ud800")]}, "versions[0]: Key is not Unicode"),
        ({"versions": [version("a", VersionId="\ud800")]}, "versions[0]: VersionId is not Unicode"),
        ({"versions": [version("a", ETag="\udfff")]}, "versions[0]: ETag is not Unicode"),
        ({"delete_markers": [marker("\ud800", latest=True)]}, "delete_markers[0]: Key is not Unicode"),
        ({"delete_markers": [marker("c", latest=True)] * 2}, "delete_markers[1]: a second latest version of 'c'"),
        ({"bucket_name": "\ud800"}, "bucket_name is not Unicode"),
        ({"delete_markers": [marker("", latest=True)]}, "delete_markers[0] has no Key"),
        ({"bucket_acl": float("nan")}, "not a JSON document: bucket_acl: NaN is not a number"),
        ({"versions": [version("a", Size=float("nan"))]}, "not a JSON document: versions[0]: NaN is not a number"),
        ({"versions": [version("a" * ELEMENT_MAX)]}, f"versions[0]: longer than {ELEMENT_MAX} characters"),
        ({"bucket_policy": "a" * MEMBER_MAX}, f"bucket_policy: longer than {MEMBER_MAX} characters"),
    ],
)
def test_a_document_that_is_none(fields: dict[str, Any], why: str) -> None:
    assert fault(document(**fields)) == why


@pytest.mark.parametrize("data", [b"", b"[]", b"7", b"{", b'{"a":1,"a":2}', b"[" * 100_000, b"\xff", b"9" * 5000])
def test_what_is_no_such_document(data: bytes) -> None:
    for file in (data, gzip.compress(data)):
        with pytest.raises(BadState, match="not a"):
            read_original(io.BytesIO(file))


def test_a_beginning_is_never_taken_for_the_whole() -> None:
    data = packed(document())
    for size in range(len(data)):
        with pytest.raises(BadState):
            read_original(io.BytesIO(data[:size]))


@given(order=st.permutations(list(document())), sizes=st.lists(st.integers(1, 300), min_size=1, max_size=8))
def test_order_and_pieces_do_not_matter(order: list[str], sizes: list[int]) -> None:
    whole = document()
    content = json.dumps({name: whole[name] for name in order}, default=str).encode()
    state = OriginalState(split(content, sizes))
    entries = sorted(change.entry for change in state.latest() if change.entry)
    assert (identified(state.info(2, 7), entries), entries) == (INFO, ENTRIES)


def split(content: bytes, sizes: list[int]) -> Iterator[bytes]:
    lengths = cycle(sizes)
    while content:
        size = next(lengths)
        yield content[:size]
        content = content[size:]


edits = st.lists(
    st.tuples(
        st.integers(0, 3000),
        st.integers(0, 3),
        st.binary(max_size=3) | st.sampled_from([b'"', b"0", b"{", b"[", b"]", b"}", b",", b"\\"]),
    ),
    min_size=1,
    max_size=3,
)


@given(is_packed=st.booleans(), edits=edits, end=st.none() | st.integers(0, 3000))
def test_damage_is_a_bad_state_or_changes_nothing(
    is_packed: bool, edits: list[tuple[int, int, bytes]], end: int | None
) -> None:
    """Without compression, which has a checksum, it may be another state, of another id."""
    whole = packed(document())
    data = whole if is_packed else gzip.decompress(whole)
    for place, removed, added in edits:
        place %= len(data) + 1
        data = data[:place] + added + data[place + removed :]
    try:
        info, entries = read_original(io.BytesIO(data[:end]))
    except BadState as error:
        assert "\n" not in error.message
        return
    if is_packed:
        assert (info, entries) == (INFO, ENTRIES)
    assert identified(info, entries) == info
    assert (info.id == INFO.id) == ((info, entries) == (INFO, ENTRIES))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(
    place=st.sampled_from([[], ["versions"], ["versions", 0], ["delete_markers"], ["delete_markers", 1]]),
    field=st.sampled_from(
        ["bucket_name", "time_start", "Key", "VersionId", "Size", "ETag", "LastModified", "IsLatest"]
    ),
    value=values,
)
def test_anything_anywhere_is_a_bad_state_or_a_state(place: list[Any], field: str, value: Any) -> None:
    whole = document()
    changed: Any = whole
    for step in place:
        changed = changed[step]
    if isinstance(changed, list):
        changed.append(value)
    else:
        changed[field] = value
    try:
        info, entries = read(whole)
    except BadState:
        return
    assert identified(info, entries) == info
    assert entries == sorted(entries)


@pytest.mark.parametrize(
    ("key", "is_one"),
    [
        (NAME, True),
        ("rwm/state_2023-11-20T02:19:41.json.gz", True),
        ("rwm/state_2023-11-20 02:19:41.123456+00:00.json.gz", True),
        ("rwm/state_2023-11-20T02:19:41+0100.json.gz", True),
        ("rwm/state_.json.gz", False),
        ("rwm/state_x.json.gz", False),
        ("rwm/state_2023-11-20T02:19:41.json", False),
        ("rwm/states/2023-11-20T02:19:41Z-0.jsonl.gz", False),
        ("rwm/state_x/state_2023-11-20T02:19:41.json.gz", False),
        ("state_2023-11-20T02:19:41.json.gz", False),
        ("x/rwm/state_2023-11-20T02:19:41.json.gz", False),
        (f"{NAME}\n", False),
    ],
)
def test_names_of_the_original_files(key: str, is_one: bool) -> None:
    assert is_original_key(key) == is_one


# --- memory ------------------------------------------------------------------------------------------


SIZE = 6 << 20


def read_with_peak(state: OriginalState) -> tuple[int, int]:
    """How many there are, and the bytes of memory that it took to read them."""
    tracemalloc.start()
    count = sum(1 for _ in state.latest())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return count, peak


def copies(element: dict[str, Any], size: int) -> Iterator[bytes]:
    """The element so often, with commas, that it takes ``size`` bytes; each key another."""
    text = json.dumps(element, default=str)
    for number in range(size // len(text)):
        yield ((", " if number else "") + text.replace("KEY", f"k{number:08d}")).encode()


@pytest.mark.parametrize(
    ("name", "element"),
    [
        ("versions", version("KEY", Size=0)),
        ("versions", version("KEY", IsLatest=False)),
        ("delete_markers", marker("KEY", latest=True)),
    ],
)
def test_memory_does_not_grow_with_the_file(name: str, element: dict[str, Any]) -> None:
    head = f'{{"bucket_name": "b", "time_start": "2023-11-20", "{name}": ['
    state = OriginalState(chain([head.encode()], copies(element, SIZE), [b"]}"]))
    count, peak = read_with_peak(state)
    assert count == (0 if element["IsLatest"] is False else SIZE // len(json.dumps(element, default=str)))
    assert state.bucket == "b"
    assert peak < SIZE // 2


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        ('{"versions": [{"Key": "', "a"),
        ('{"versions": [{"Key": "', "я"),
        ('{"versions": [{"Key": "', "\\u"),
        ('{"versions": [', "["),
        ('{"versions": [', '{"a":'),
        ('{"versions": [1', "0"),
        ('{"delete_markers": [[0', ", 0"),
        ('{"bucket_acl": ["', "a"),
        ('{"bucket_acl": [{}', ", {}"),
        ('{"bucket_acl": 1', "0"),
        ('{"bucket_name": "', "a"),
        ('{"', "a"),
        ("{", " "),
        ("", "{"),
    ],
)
def test_memory_is_bounded_for_a_bomb(head: str, piece: str) -> None:
    """Of whatever the file consists, when it is unpacked."""
    size = 100 << 20
    block = (piece * (1 << 16)).encode()
    state = OriginalState(chain([head.encode()], repeat(block, size // len(block))))
    tracemalloc.start()
    with pytest.raises(BadState):
        list(state.latest())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 48 << 20
