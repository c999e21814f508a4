"""A location: one spelling, checked once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwm.errors import UsageError
from rwm.location import Location, parse_prefix

NAMES = st.text("abc.-_ é", min_size=1, max_size=5).filter(lambda name: name not in (".", ".."))
LOCATIONS = st.builds(
    lambda bucket, names: Location(bucket, "".join(f"{name}/" for name in names)),
    st.sampled_from(["bucket1", "bucket2"]),
    st.lists(NAMES, max_size=4),
)


@pytest.mark.parametrize(
    ("text", "location"),
    [
        ("bucket1", Location("bucket1")),
        ("bucket1/", Location("bucket1")),
        ("bucket1/host1", Location("bucket1", "host1/")),
        ("bucket1/host1/", Location("bucket1", "host1/")),
        ("bucket1/sites/a b/host1", Location("bucket1", "sites/a b/host1/")),
        ("Old_Bucket.1/data", Location("Old_Bucket.1", "data/")),
    ],
)
def test_parse(text: str, location: Location) -> None:
    assert Location.parse(text) == location


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "without a bucket name"),
        ("/host1", "without a bucket name"),
        ("bucket 1/host1", "'bucket 1' is no bucket name"),
        ("bucket1//host1", "empty name"),
        ("bucket1/host1//", "empty name"),
        ("bucket1/../host1", "name is . or .."),
        ("bucket1/./host1", "name is . or .."),
        ("bucket1/a\0b", "NUL in name"),
        ("bucket1/\udcff", "name is not UTF-8"),
        (f"bucket1/{'x' * 256}", "name over 255 bytes"),
        ("bucket1" + "/x123456789" * 90, "longer than 896 bytes"),
        ("bucket1/rwm", "RWM keeps its own objects there"),
        ("bucket1/rwm/states", "RWM keeps its own objects there"),
        ("bucket1/host1/rwm/states", "RWM keeps its own objects there"),
    ],
)
def test_parse_refuses_what_is_no_place(text: str, why: str) -> None:
    with pytest.raises(UsageError, match="is no location") as caught:
        Location.parse(text)
    assert why in caught.value.message
    assert caught.value.hint == "write BUCKET or BUCKET/PREFIX, as bucket1/host1"


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("s3:http://host:8333/bucket1/host1", "write bucket1/host1"),
        ("s3:https://user:secret@host/bucket1/", "write bucket1"),
        ("http://host/bucket1", "write bucket1"),
        ("s3://bucket1/host1/", "write bucket1/host1"),
        ("s3:bucket1", "write bucket1"),
        ("s3:http://host", "write BUCKET or BUCKET/PREFIX, as bucket1/host1"),
        ("s3://bucket1//host1", "write BUCKET or BUCKET/PREFIX, as bucket1/host1"),
    ],
)
def test_parse_says_what_to_write_for_a_url(url: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        Location.parse(url)
    assert caught.value.message == "a URL is no location: the server is s3_endpoint_url"
    assert caught.value.hint == hint


@given(LOCATIONS)
def test_text_and_location_are_one_to_one(location: Location) -> None:
    assert Location.parse(str(location)) == location
    assert parse_prefix(location.prefix) == location.prefix


@given(LOCATIONS, LOCATIONS)
def test_covers_is_being_the_same_or_above(one: Location, other: Location) -> None:
    names, below = one.prefix.split("/")[:-1], other.prefix.split("/")[:-1]
    expected = one.bucket == other.bucket and below[: len(names)] == names
    assert one.covers(other) == expected
    assert one.overlaps(other) == (expected or other.covers(one))


def test_a_bucket_is_called_a_bucket_in_a_sentence() -> None:
    assert Location("bucket1").described == "bucket bucket1"
    assert Location("bucket1", "host1/").described == "bucket1/host1"


def test_key_is_below_the_prefix() -> None:
    assert Location("bucket1").key("config") == "config"
    assert Location("bucket1", "host1/").key("config") == "host1/config"
