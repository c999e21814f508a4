"""How many versions of recorded states are gone, by one listing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rwm.index import Index
from rwm.location import Location
from rwm.states import capture_state, count_missing
from rwm.times import DAY
from tests.unit.memory import MemoryS3

BUCKET = "bucket1"
HERE = Location(BUCKET)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with Index.open(tmp_path / "index.sqlite") as index:
        yield index


def test_only_what_is_gone_is_counted_also_of_a_key_that_is_listed_ambiguously(index: Index) -> None:
    s3 = MemoryS3(BUCKET)
    versions = {key: s3.put(BUCKET, key, b"1") for key in ("a", "b", "c")}
    info = capture_state(s3, index, HERE)
    s3.now += DAY
    assert count_missing(s3, index, HERE, {info.id}) == {}
    s3.unknown_keys.add(BUCKET, s3.buckets[BUCKET]["a"][0]._replace(version_id="null", last_modified=0), "ambiguous")
    assert count_missing(s3, index, HERE, {info.id}) == {}
    s3.remove(BUCKET, "b", versions["b"])
    assert count_missing(s3, index, HERE, {info.id}) == {info.id: 1}
    assert count_missing(s3, index, HERE, set()) == {}


def test_a_null_version_that_was_overwritten_in_place_is_gone(index: Index) -> None:
    s3 = MemoryS3(BUCKET)
    for key in ("host1/a", "host2/a"):
        s3.put(BUCKET, key, b"1")
        s3.buckets[BUCKET][key][0] = s3.buckets[BUCKET][key][0]._replace(version_id="null")
    infos = [capture_state(s3, index, Location(BUCKET, prefix)) for prefix in ("host1/", "host2/")]
    s3.now += DAY
    s3.buckets[BUCKET]["host2/a"][0] = s3.buckets[BUCKET]["host2/a"][0]._replace(etag="other", last_modified=s3.now)
    ids = {info.id for info in infos}
    assert count_missing(s3, index, HERE, ids) == {infos[1].id: 1}
    assert count_missing(s3, index, Location(BUCKET, "host1/"), ids) == {}
