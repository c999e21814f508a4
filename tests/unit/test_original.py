"""State files of the original tool, as it writes them."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwm import original
from rwm.errors import BadState
from rwm.model import Entry, StateInfo
from rwm.original import is_original_key, read_original
from rwm.statefile import identified
from rwm.times import parse_iso

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
        ({"time_start": "noon"}, "time_start is no time: 'noon'"),
        ({"time_start": "1969-12-31"}, "time_start is not between 1970 and 6000: '1969-12-31'"),
        ({"time_start": "6000-01-01"}, "time_start is not between 1970 and 6000: '6000-01-01'"),
        ({"versions": {}}, "versions is no list"),
        ({"versions": [1]}, "versions[0] has no Key"),
        ({"versions": [version("")]}, "versions[0] has no Key"),
        ({"versions": [version("a"), version("b", IsLatest=None)]}, "versions[1] does not say whether it IsLatest"),
        ({"versions": [version("a", IsLatest="true")]}, "versions[0] does not say whether it IsLatest"),
        ({"versions": [version("a"), version("a")]}, "versions[1]: a second latest version of 'a'"),
        ({"versions": [version("c")]}, "delete_markers[0]: a second latest version of 'c'"),
        ({"versions": [version("a", VersionId="")]}, "versions[0]: VersionId is no version id"),
        ({"versions": [version("a", VersionId=7)]}, "versions[0]: VersionId is no version id"),
        ({"versions": [version("a", Size=-1)]}, "versions[0]: Size is no size"),
        ({"versions": [version("a", Size=True)]}, "versions[0]: Size is no size"),
        ({"versions": [version("a", Size=1 << 63)]}, "versions[0]: Size is no size"),
        ({"versions": [version("a", ETag=1)]}, "versions[0]: ETag is no text"),
        ({"versions": [version("a", LastModified=None)]}, "versions[0]: LastModified is no time"),
        ({"versions": [version("a", LastModified="x")]}, "versions[0]: LastModified is no time: 'x'"),
        ({"versions": [version("\ud800")]}, "a text in the file is no Unicode"),
        ({"bucket_name": "\ud800"}, "a text in the file is no Unicode"),
        ({"delete_markers": [marker("", latest=True)]}, "delete_markers[0] has no Key"),
        ({"bucket_acl": float("nan")}, "not a JSON document: NaN is no number"),
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


def test_the_size_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(original, "SIZE_MAX", 1 << 20)
    with pytest.raises(BadState, match="the file has more than 1 MiB when unpacked"):
        read_original(io.BytesIO(gzip.compress(b" " * (64 << 20))))


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
