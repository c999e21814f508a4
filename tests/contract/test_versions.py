"""Versions through the S3 adapter, on every server, with every page size.

moto lists all versions before all markers and calls both the latest, so tests with a marker and a version of one key,
and of what a server may refuse, run on the real servers only.
"""

from __future__ import annotations

import io
import itertools
import random
import time
from pathlib import Path

import pytest

from rwm.errors import BadResponse, NotFound, S3Error
from rwm.location import Location
from rwm.model import Entry, ObjectVersion
from rwm.s3 import S3, objects, part_copy
from rwm.s3.listing.check import group_by_key
from rwm.s3.listing.history import list_histories
from rwm.states.current import current_at
from rwm.times import SECOND
from tests.contract.buckets import Model, at_once, by_key_order, next_second, unique, versioned, written
from tests.servers import Server


@pytest.fixture
def any_s3(any_server: Server) -> S3:
    """The admin's client on each server."""
    return any_server.connect()


@pytest.fixture
def s3(server: Server) -> S3:
    """The admin's client on each real server."""
    return server.connect()


# --- listing ---------------------------------------------------------------------------------------------


def test_versions_come_newest_first(any_s3: S3) -> None:
    model = Model(any_s3, versioned(any_s3))
    for key in ("config", "data/00/a", "data/01/b", "keys/x"):
        for number in range(3):
            model.put(key, b"x" * number)
            time.sleep(0.002)  # moto orders by time
    assert written(any_s3.versions(model.bucket)) == model.expected()


def test_times_and_etags_are_those_of_the_object(any_s3: S3) -> None:
    bucket = versioned(any_s3)
    before = any_s3.server_time(bucket)
    any_s3.put(bucket, "key", b"hello")
    (version,) = any_s3.versions(bucket)
    assert version.etag == "5d41402abc4b2a76b9719d911017c592"
    assert before <= version.last_modified < any_s3.server_time(bucket) + SECOND


def test_markers_are_listed_in_order_of_creation(s3: S3) -> None:
    model = Model(s3, versioned(s3))
    model.put("twice", b"1")
    model.delete("twice")
    model.put("twice", b"22")
    model.put("gone", b"333")
    model.delete("gone")
    model.delete("never/there")
    model.put("stays", b"")
    assert written(s3.versions(model.bucket)) == model.expected()
    assert model.expected()[-1].key == "twice"


def test_deleting_a_deleted_key(server: Server, s3: S3) -> None:
    """SeaweedFS and AWS put a marker on the marker, RGW keeps the one. Either way the key is absent once."""
    bucket = versioned(s3)
    s3.put(bucket, "key", b"1")
    for _ in range(3):
        s3.delete(bucket, "key")
    entries = [*s3.versions(bucket)]
    markers = {"rgw": 1, "seaweedfs": 3}[server.name]
    assert [entry.is_marker for entry in entries] == [True] * markers + [False]
    assert [entry.is_latest for entry in entries] == [True] + [False] * markers
    assert current_at(entries, s3.server_time(bucket), born_later=False) is None


def test_every_page_size_gives_the_same_listing(s3: S3) -> None:
    model = Model(s3, versioned(s3))
    for key in ("config", "data/00/a", "data/00/b", "data/ff/c", "index/i", "snapshots/s"):
        for number in range(4):
            model.put(key, b"x" * number)
        if key != "config":
            model.delete(key)
    model.delete("locks/never")
    for size in (1, 2, 7, 1000):
        pages = [*s3.list_pages(model.bucket, page_size=size)]
        assert [entry for page in pages for entry in written(page.versions)] == model.expected(), size
        assert max(len(page.versions) for page in pages) <= size
        assert len(pages) >= len(model.expected()) // size


def test_every_page_size_gives_the_same_versions(any_s3: S3) -> None:
    """Without markers, for moto too."""
    model = Model(any_s3, versioned(any_s3))
    for key in ("config", "data/00/a", "data/00/b", "data/ff/c"):
        for number in range(5):
            model.put(key, b"x" * number)
            time.sleep(0.002)
    for size in (1, 2, 7, 1000):
        assert by_key_order(any_s3.versions(model.bucket, page_size=size)) == model.expected(), size


def test_more_than_a_thousand_versions_split_within_a_key(s3: S3) -> None:
    model = Model(s3, versioned(s3))

    def many(key_and_count: tuple[str, int]) -> None:
        key, count = key_and_count
        for number in range(count):
            model.put(key, b"x" * (number % 7))

    at_once(many, [("data/00/a", 350), ("data/00/b", 350), ("data/01/c", 350), ("data/01/d", 30)])
    model.delete("data/01/c")
    pages = [*s3.list_pages(model.bucket)]
    assert [entry for page in pages for entry in written(page.versions)] == model.expected()
    # RGW may end a page early; one of the breaks is within a key in any case, because no key ends at 1,000.
    assert len(pages) > 1 and max(len(page.versions) for page in pages) <= 1000
    assert any(one.versions[-1].key == other.versions[0].key for one, other in itertools.pairwise(pages))
    assert [len(history) for history in group_by_key(s3.versions(model.bucket))] == [350, 350, 351, 30]


def test_more_than_a_thousand_markers(s3: S3) -> None:
    """A wiped bucket: whole pages without a current version."""
    bucket = versioned(s3)
    keys = [f"data/{number % 256:02x}/{number:04d}" for number in range(1040)]
    s3.put(bucket, "data/zz", b"last")
    at_once(lambda key: s3.delete(bucket, key), keys)
    pages = [*s3.list_pages(bucket)]
    assert len(pages[0].versions) == 1000 and all(entry.is_marker for entry in pages[0].versions)
    listed = [entry for page in pages for entry in page.versions]
    assert [entry.key for entry in listed] == [*sorted(keys), "data/zz"]
    assert [entry.is_marker for entry in listed] == [True] * len(keys) + [False]
    assert not s3.delete_versions(bucket, [(entry.key, entry.version_id) for entry in listed[:900]])
    assert [entry.key for entry in s3.versions(bucket)] == [*sorted(keys)[900:], "data/zz"]


def test_null_versions_from_before_versioning(any_s3: S3) -> None:
    bucket = unique("contract")
    any_s3.create_bucket(bucket)
    assert any_s3.versioning(bucket) == ""
    assert any_s3.put(bucket, "a", b"before") == "null"
    any_s3.put(bucket, "b", b"before")
    any_s3.enable_versioning(bucket)
    time.sleep(0.002)
    version = any_s3.put(bucket, "a", b"after")
    assert version not in ("null", "")
    assert [(v.key, v.version_id, v.is_latest) for v in any_s3.versions(bucket)] == [
        ("a", version, True),
        ("a", "null", False),
        ("b", "null", True),
    ]
    assert any_s3.reader(bucket).read_range("a", "null", 0, 6) == b"before"
    assert any_s3.get(bucket, "a", version) == b"after"


def test_an_overwritten_null_version_is_not_read_as_the_listed_one(any_s3: S3) -> None:
    bucket = unique("contract")
    any_s3.create_bucket(bucket)
    any_s3.put(bucket, "a", b"before")
    any_s3.enable_versioning(bucket)
    any_s3.put(bucket, "a", b"between")
    listed = {entry.version_id: entry.etag for entry in any_s3.versions(bucket)}
    reader = any_s3.reader(bucket, attempts=1)
    for version, etag in listed.items():
        assert len(reader.read_range("a", version, 0, 6, etag=etag)) == 6
    any_s3.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    any_s3.put(bucket, "a", b"after!")
    assert reader.read_range("a", "null", 0, 6) == b"after!"
    with pytest.raises(BadResponse, match="it was overwritten"):
        reader.read_range("a", "null", 0, 6, etag=listed["null"])


def test_null_versions_written_in_parts_match_their_etag(any_s3: S3) -> None:
    """In parts by the client, or by a copy within the server."""
    bucket, data = unique("contract"), random.Random(1).randbytes(9 << 20)
    any_s3.create_bucket(bucket)
    any_s3.put(bucket, "whole", data)
    any_s3.client.upload_fileobj(io.BytesIO(data), bucket, "parts")
    any_s3.client.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "whole"})
    any_s3.enable_versioning(bucket)
    listed = list(any_s3.versions(bucket))
    assert {(entry.key, entry.version_id) for entry in listed} == {(key, "null") for key in ("whole", "parts", "copy")}
    for entry in listed:
        assert any_s3.reader(bucket).read_range(entry.key, "null", 5, 10, etag=entry.etag) == data[5:10]


def test_null_versions_are_deleted_like_others(s3: S3) -> None:
    bucket = unique("contract")
    s3.create_bucket(bucket)
    s3.put(bucket, "a", b"before")
    s3.enable_versioning(bucket)
    s3.delete(bucket, "a")
    marker, null = s3.versions(bucket)
    assert (marker.is_marker, null.is_marker, null.version_id) == (True, False, "null")
    assert not s3.delete_versions(bucket, [("a", "null")])
    assert [*s3.versions(bucket)] == [marker]


def test_among_equal_times_the_listing_order_decides(server: Server, s3: S3) -> None:
    model = Model(s3, versioned(s3))
    for number in range(25):
        model.put("config", b"x" * number)
    (history,) = group_by_key(s3.versions(model.bucket))
    assert written(history) == model.expected()
    last = history[0].last_modified // SECOND * SECOND
    same = [version for version in history if version.last_modified // SECOND * SECOND == last]
    current = current_at(history, last, born_later=False)
    assert current is not None and current.version_id == model.histories["config"][0][0]
    if len(same) < len(history):
        earlier = current_at(history, last - SECOND, born_later=False)
        assert earlier is not None and earlier.version_id == history[len(same)].version_id
    assert (len({version.last_modified for version in history}) < 5) == (server.name == "seaweedfs")


def test_versions_written_at_once_are_each_listed_once(s3: S3) -> None:
    bucket = versioned(s3)
    made = at_once(lambda number: s3.put(bucket, "index/i", b"x" * number), range(40))
    listed = [*s3.versions(bucket, page_size=7)]
    assert sorted(version.version_id for version in listed) == sorted(made)
    assert [version.is_latest for version in listed] == [True] + [False] * 39
    assert s3.get(bucket, "index/i") == s3.get(bucket, "index/i", listed[0].version_id)


# --- prefixes --------------------------------------------------------------------------------------------


def top_level(s3: S3, bucket: str, size: int) -> tuple[list[ObjectVersion], list[str]]:
    """Entries of the keys without a slash, and the prefixes of all others."""
    levels = [*s3.level(bucket, page_size=size)]
    prefixes = [prefix for level in levels for prefix in level.prefixes]
    assert len(set(prefixes)) == len(prefixes)
    return [version for level in levels for version in level.versions], sorted(prefixes)


def test_top_level(s3: S3) -> None:
    model = Model(s3, versioned(s3))
    for key in ("config", "data/00/a", "index/i", "резерв/копия", "a b/c", "100%/d", "x+y/e", "zz"):
        model.put(key, b"1")
    model.put("config", b"22")
    model.delete("gone/away")
    model.delete("zz")
    for size in (1, 3, 1000):
        roots, prefixes = top_level(s3, model.bucket, size)
        assert by_key_order(roots) == [entry for entry in model.expected() if "/" not in entry.key], size
        assert prefixes == ["100%/", "a b/", "data/", "gone/", "index/", "x+y/", "резерв/"], size


def test_top_level_has_prefixes_of_more_than_one_page(any_s3: S3) -> None:
    bucket = versioned(any_s3)
    names = [f"p{number:02d}/" for number in range(25)]
    for name in names:
        any_s3.put(bucket, f"{name}deep/er/key", b"")
    assert top_level(any_s3, bucket, 10) == ([], names)


def test_sibling_prefixes_are_complete_each_by_itself(s3: S3) -> None:
    model = Model(s3, versioned(s3))
    keys = [f"{prefix}data/{number:02d}" for prefix in ("repo/", "repo-2/", "repo.old/") for number in range(20)]
    at_once(lambda key: model.put(key, b"1"), keys)
    model.put("repo/data/00", b"2")
    model.delete("repo-2/data/19")
    for prefix in ("repo/", "repo-2/", "repo.old/", "repo/data/"):
        for size in (1, 7, 1000):
            assert written(s3.versions(model.bucket, prefix, page_size=size)) == model.expected(prefix), (prefix, size)
    found = [
        entry for part in list_histories(s3, Location(model.bucket)) for history in part for entry in written(history)
    ]
    assert sorted(found) == sorted(model.expected())


def test_one_listing_over_sibling_prefixes(server: Server, s3: S3) -> None:
    """SeaweedFS loses keys at the page breaks of a plain listing; the adapter's listing is complete."""
    bucket = versioned(s3)
    keys = [f"{prefix}{number:02d}" for prefix in ("repo/", "repo-2/") for number in range(20)]
    at_once(lambda key: s3.put(bucket, key, b"1"), keys)
    plain = {version.key for page in s3.list_pages(bucket, page_size=7) for version in page.versions}
    assert (plain == set(keys)) == (server.name == "rgw")
    assert sorted(version.key for version in s3.versions(bucket, page_size=7)) == sorted(keys)


# --- keys ------------------------------------------------------------------------------------------------

ORDINARY = {
    "space": "a b",
    "spaces at the ends": " a ",
    "percent": "50%",
    "escape": "a%20b",
    "plus": "a+b",
    "ampersand": "a&b",
    "quotes": "a\"b'c",
    "angle brackets": "a<b>c",
    "question mark and hash": "a?b#c",
    "semicolon": "a;b=c",
    "Cyrillic": "резерв/копия",
    "emoji": "📦/🧪",
    "not normalised": "e\u0301",
    "normalised": "\u00e9",
    "no-break space": "a\xa0b",
    "right to left": "\u202eabc",
    "delete character": "a\x7fb",
    "tab": "a\tb",
    "1,024 bytes": "/".join(["d" * 200] * 5) + "/" + "x" * 19,
    "1,024 bytes of Cyrillic": "/".join(["ж" * 100] * 5) + "/" + "x" * 19,
}


@pytest.mark.parametrize("key", ORDINARY.values(), ids=ORDINARY)
def test_keys_round_trip(any_s3: S3, key: str) -> None:
    model = Model(any_s3, versioned(any_s3, "keys"))
    first = model.put(key, b"one")
    time.sleep(0.002)
    second = model.put(key, b"two!")
    assert written(any_s3.versions(model.bucket)) == model.expected()
    assert any_s3.get(model.bucket, key, first) == b"one"
    assert any_s3.reader(model.bucket).read_range(key, second, 1, 3) == b"wo"
    assert not any_s3.delete_versions(model.bucket, [(key, first)])
    assert [version.version_id for version in any_s3.versions(model.bucket)] == [second]


def test_all_ordinary_keys_in_one_bucket(s3: S3) -> None:
    model = Model(s3, versioned(s3, "keys"))
    for key in ORDINARY.values():
        model.put(key, b"1")
        model.put(key, b"22")
        model.delete(key)
    assert by_key_order(s3.versions(model.bucket)) == model.expected()
    exact = [(key, version) for key, history in model.histories.items() for version, _ in history]
    assert not s3.delete_versions(model.bucket, exact)
    assert not [*s3.versions(model.bucket)]


REFUSED = None
ODD: dict[str, dict[str, str | None]] = {
    # key: what each server lists it as, or REFUSED
    ".": {"rgw": ".", "seaweedfs": REFUSED},
    "..": {"rgw": "..", "seaweedfs": REFUSED},
    "a/./b": {"rgw": "a/./b", "seaweedfs": REFUSED},
    "a/../b": {"rgw": "a/../b", "seaweedfs": REFUSED},
    "../../etc/passwd": {"rgw": "../../etc/passwd", "seaweedfs": REFUSED},
    "a\0b": {"rgw": REFUSED, "seaweedfs": REFUSED},
    "k" * 1025: {"rgw": REFUSED, "seaweedfs": REFUSED},
    "a//b": {"rgw": "a//b", "seaweedfs": "a/b"},
    "/a": {"rgw": "/a", "seaweedfs": "a"},
    "a\\b": {"rgw": "a\\b", "seaweedfs": "a/b"},
    "a\x01b": {"rgw": "a\x01b", "seaweedfs": "a\ufffdb"},
    "a\x1b[31mb": {"rgw": "a\x1b[31mb", "seaweedfs": "a\ufffd[31mb"},
    "a\ufffeb": {"rgw": "a\ufffeb", "seaweedfs": "a\ufffdb"},
    "a\nb": {"rgw": "a\nb", "seaweedfs": "a\nb"},
    "a\rb": {"rgw": "a\rb", "seaweedfs": "a\rb"},
    "n" * 256: {"rgw": "n" * 256, "seaweedfs": "n" * 256},
    "k" * 1024: {"rgw": "k" * 1024, "seaweedfs": "k" * 1024},
}


def entries(s3: S3, bucket: str) -> list[ObjectVersion]:
    """All that the server lists, also under names that are not exact."""
    return [entry for page in s3.list_pages(bucket) for entry in (*page.versions, *page.garbled)]


@pytest.mark.parametrize("key", ODD, ids=lambda key: ascii(key[:16]))
def test_odd_keys(server: Server, s3: S3, key: str) -> None:
    """Servers have different limits: accepted keys are listed as the table says, and readable."""
    bucket, listed = versioned(s3, "odd"), ODD[key][server.name]
    if listed is REFUSED:
        with pytest.raises(S3Error) as error:
            s3.put(bucket, key, b"one")
        assert "\n" not in str(error.value)
        assert not entries(s3, bucket)
        return
    first, second = s3.put(bucket, key, b"one"), s3.put(bucket, key, b"two!")
    assert [entry[:2] for entry in entries(s3, bucket)] == [(listed, second), (listed, first)]
    assert s3.get(bucket, key, first) == b"one"
    assert s3.reader(bucket).read_range(key, second, 0, 4) == b"two!"


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_pages_that_end_at_any_key(s3: S3, size: int) -> None:
    """RGW percent-encodes names, but not the marker of the next page, which must not be decoded."""
    model = Model(s3, versioned(s3, "odd"))
    for key in (*ORDINARY.values(), "a%7Ab", "ayb", "a%ZZb", "x+y/z", "x y/z", "50%2F", "a\nb", "a\rb", "a%", "%", "+"):
        model.put(key, b"1")
        model.put(key, b"22")
    assert by_key_order(s3.versions(model.bucket, page_size=size)) == model.expected()
    roots, prefixes = top_level(s3, model.bucket, size)
    assert by_key_order(roots) == [entry for entry in model.expected() if "/" not in entry.key]
    assert prefixes == sorted({key.partition("/")[0] + "/" for key in model.histories if "/" in key})


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_pages_that_end_at_a_key_that_xml_cannot_carry(rgw: Server, size: int) -> None:
    s3 = rgw.connect()
    model = Model(s3, versioned(s3, "odd"))
    for key in ("a\x01/x", "a\x01b", "a\x1fb", "ab", "a\ufffdb", "a\ufffeb", "a\uffffb", "\x01/\x02", "z"):
        model.put(key, b"1")
        model.put(key, b"22")
    assert written(s3.versions(model.bucket, page_size=size)) == model.expected()
    assert written(s3.versions(model.bucket, "a\x01", page_size=size)) == model.expected("a\x01")
    assert top_level(s3, model.bucket, size)[1] == ["\x01/", "a\x01/"]


def test_keys_that_end_in_a_slash(server: Server, s3: S3) -> None:
    """For SeaweedFS they are directories, without versions or content."""
    bucket = versioned(s3, "odd")
    made = [s3.put(bucket, "dir/", body) for body in (b"one", b"two!")]
    listed = [(version.key, version.version_id, version.size) for version in s3.versions(bucket)]
    if server.name == "rgw":
        assert listed == [("dir/", made[1], 4), ("dir/", made[0], 3)]
        assert s3.get(bucket, "dir/", made[0]) == b"one"
    else:
        assert [key for key, _, _ in listed] == ["dir/"]
        assert s3.get(bucket, "dir/") == b""


def test_a_file_beside_a_directory_of_the_same_name(s3: S3) -> None:
    model = Model(s3, versioned(s3, "odd"))
    for key in ("x", "x/y", "x/y/z"):
        model.put(key, key.encode())
    model.delete("x/y")
    assert written(s3.versions(model.bucket)) == model.expected()
    assert s3.get(model.bucket, "x/y/z") == b"x/y/z"


# --- deleting --------------------------------------------------------------------------------------------


def test_exactly_the_named_versions_are_deleted(s3: S3) -> None:
    model = Model(s3, versioned(s3))
    first, second, third = (model.put("key", b"x" * number) for number in range(3))
    marker = model.delete("key")
    other = model.put("other", b"1")
    assert not s3.delete_versions(model.bucket, [("key", second), ("key", marker)])
    left = [(version.key, version.version_id, version.is_latest) for version in s3.versions(model.bucket)]
    assert left == [("key", third, True), ("key", first, False), ("other", other, True)]
    assert s3.get(model.bucket, "key") == b"xx"


def test_deleting_an_absent_version_is_no_failure(s3: S3) -> None:
    bucket = versioned(s3)
    pairs = [(key, s3.put(bucket, key, b"1")) for key in ("a", "b", "c\x7fd", "e\nf")]
    assert not s3.delete_versions(bucket, pairs[:1] + pairs[2:])
    assert not s3.delete_versions(bucket, pairs)
    assert not s3.delete_versions(bucket, pairs)
    assert not s3.delete_versions(bucket, [])
    assert not [*s3.versions(bucket)]


def test_more_than_a_batch_at_once(s3: S3) -> None:
    bucket = versioned(s3)
    pairs = at_once(lambda n: (f"data/{n:03d}", s3.put(bucket, f"data/{n:03d}", b"1")), range(320))
    assert not s3.delete_versions(bucket, pairs[:300])
    assert [version.key for version in s3.versions(bucket)] == [key for key, _ in pairs[300:]]


def test_keys_with_control_characters_are_deleted(s3: S3) -> None:
    """XML cannot represent them, so they are sent in the URL."""
    bucket = versioned(s3)
    pairs = [(key, s3.put(bucket, key, b"1")) for key in ("a\x01b", "a\x1b[2J", "plain", "a\nb")]
    kept = s3.put(bucket, "a\x01b", b"2")
    assert not s3.delete_versions(bucket, pairs)
    assert [entry.version_id for entry in entries(s3, bucket)] == [kept]


def test_failed_deletions_are_reported(s3: S3) -> None:
    bucket = unique("locked")
    s3.client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    assert s3.has_object_lock(bucket)
    names = ["a", "held", "b", "held\x1b"]
    pairs = [(key, s3.put(bucket, key, b"1")) for key in names]
    for key, version in (pairs[1], pairs[3]):
        s3.client.put_object_legal_hold(Bucket=bucket, Key=key, VersionId=version, LegalHold={"Status": "ON"})
        assert s3.version_lock(bucket, key, version).is_held
    assert s3.version_lock(bucket, *pairs[0])[::2] == (False, 0)
    failures = s3.delete_versions(bucket, pairs)
    assert sorted((fail.key, fail.version_id, fail.code) for fail in failures) == sorted(
        (key, version, "AccessDenied") for key, version in (pairs[1], pairs[3])
    )
    assert sorted(entry.version_id for entry in entries(s3, bucket)) == sorted([pairs[1][1], pairs[3][1]])


# --- reading ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "stop"), [(0, 0), (0, 1), (0, 1000), (1, 2), (500, 500), (999, 1000), (1000, 1000), (300, 700)]
)
def test_ranges_are_exact(any_s3: S3, start: int, stop: int) -> None:
    bucket, body = versioned(any_s3), bytes(number % 251 for number in range(1000))
    version = any_s3.put(bucket, "key", body)
    time.sleep(0.002)
    any_s3.put(bucket, "key", b"poison" * 200)
    assert any_s3.reader(bucket).read_range("key", version, start, stop) == body[start:stop]


@pytest.mark.parametrize(("start", "stop"), [(0, 11), (9, 11), (10, 11), (50, 60)])
def test_a_range_beyond_the_end_is_an_error_and_never_short(any_s3: S3, start: int, stop: int) -> None:
    bucket = versioned(any_s3)
    version = any_s3.put(bucket, "key", b"0123456789")
    with pytest.raises(S3Error) as error:
        any_s3.reader(bucket, attempts=2).read_range("key", version, start, stop)
    assert isinstance(error.value, BadResponse) == (start < 10)
    assert "\n" not in str(error.value)


def test_an_empty_object(any_s3: S3) -> None:
    bucket = versioned(any_s3)
    version = any_s3.put(bucket, "empty", b"")
    assert any_s3.reader(bucket).read_range("empty", version, 0, 0) == b""
    assert [*any_s3.stream(bucket, "empty", version)] == []
    assert any_s3.size(bucket, "empty", version) == 0


def test_an_absent_version_is_not_found(s3: S3) -> None:
    bucket = versioned(s3)
    gone, there = s3.put(bucket, "key", b"1"), s3.put(bucket, "key", b"2")
    foreign = s3.put(bucket, "other", b"3")
    assert not s3.delete_versions(bucket, [("key", gone)])
    for key, version in (("key", gone), ("key", foreign), ("never", there)):
        with pytest.raises(NotFound):
            s3.reader(bucket).read_range(key, version, 0, 1)
        with pytest.raises(NotFound):
            s3.get(bucket, key, version)
        with pytest.raises(NotFound):
            s3.size(bucket, key, version)


def test_versions_stay_readable_below_a_marker(s3: S3) -> None:
    bucket = versioned(s3)
    versions = [s3.put(bucket, "key", body) for body in (b"first", b"second")]
    s3.delete(bucket, "key")
    with pytest.raises(NotFound):
        s3.get(bucket, "key")
    assert [s3.get(bucket, "key", version) for version in versions] == [b"first", b"second"]
    assert s3.reader(bucket).read_range("key", versions[0], 1, 4) == b"irs"
    marker = next(s3.versions(bucket))
    with pytest.raises(S3Error):
        s3.get(bucket, "key", marker.version_id)


def test_stream_yields_the_whole_object_in_pieces(any_s3: S3) -> None:
    bucket, body = versioned(any_s3), bytes(range(256)) * 10_000
    version = any_s3.put(bucket, "key", io.BytesIO(body))
    pieces = [*any_s3.stream(bucket, "key", version)]
    assert b"".join(pieces) == body and len(pieces) == 3
    assert any_s3.size(bucket, "key") == any_s3.size(bucket, "key", version) == len(body)


# --- writing ---------------------------------------------------------------------------------------------


def test_put_and_upload_of_more_than_one_part(any_s3: S3, tmp_path: Path) -> None:
    bucket, body = versioned(any_s3), bytes(range(256)) * (9 << 12)  # 9 MiB
    version = any_s3.put(bucket, "one", io.BytesIO(body))
    path = tmp_path / "body"
    path.write_bytes(body)
    any_s3.upload(bucket, "parts", path)
    for key, size, _ in ((v.key, v.size, v.etag) for v in any_s3.versions(bucket)):
        assert size == len(body), key
    assert any_s3.get(bucket, "one", version) == body
    assert any_s3.get(bucket, "parts") == body


@pytest.mark.parametrize("size", [0, 11, 9 << 20])
def test_copy_copies_the_named_version(any_s3: S3, size: int) -> None:
    source, target = versioned(any_s3, "from"), versioned(any_s3, "to")
    key, body = "dir/a b%20+ж", b"wanted" * (size // 6) + b"w" * (size % 6)
    version = any_s3.put(source, key, body)
    time.sleep(0.002)
    any_s3.put(source, key, b"poison")
    any_s3.copy(source, key, version, target)
    assert any_s3.get(target, key) == body
    assert [(v.key, v.size) for v in any_s3.versions(target)] == [(key, size)]
    any_s3.copy(source, key, version, target, "new/ж", size=size)
    assert any_s3.get(target, "new/ж") == body


def test_a_copy_above_the_limit_is_made_in_parts(any_s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "COPY_LIMIT", 5 << 20)
    monkeypatch.setattr(part_copy, "COPY_PART", 5 << 20)
    source, target, body = versioned(any_s3, "from"), versioned(any_s3, "to"), bytes(11 << 20) + b"end"
    version = any_s3.put(source, "dir/key", body)
    any_s3.put(source, "dir/key", b"poison")
    any_s3.copy(source, "dir/key", version, target, size=len(body))
    assert any_s3.get(target, "dir/key") == body
    (copied,) = any_s3.versions(target)
    assert copied.etag.endswith("-3")
    assert not any_s3.has_md5_etag(target, "dir/key", copied.version_id)
    assert [*any_s3.unfinished_uploads(target)] == []


def test_copy_of_a_version_below_a_marker(s3: S3) -> None:
    source, target = versioned(s3, "from"), versioned(s3, "to")
    version = s3.put(source, "key", b"wanted")
    s3.delete(source, "key")
    s3.copy(source, "key", version, target)
    assert s3.get(target, "key") == b"wanted"
    with pytest.raises(NotFound):
        s3.copy(source, "key", s3.put(source, "other", b""), target)


def test_unfinished_uploads(any_s3: S3) -> None:
    bucket, begun = versioned(any_s3), int(time.time()) * SECOND
    assert [*any_s3.unfinished_uploads(bucket)] == []
    for key in ("data/one", "data/two ж"):
        upload = any_s3.client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
        any_s3.client.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=1, Body=b"part")
    found = sorted(any_s3.unfinished_uploads(bucket))
    assert [key for key, _, _ in found] == ["data/one", "data/two ж"]
    assert [*any_s3.versions(bucket)] == []
    any_s3.abort_upload(bucket, *found[0][:2])
    (left,) = any_s3.unfinished_uploads(bucket)
    assert left == found[1]
    if any_s3.owner_id() == "admin":
        assert begun - SECOND <= left[2] <= time.time() * SECOND + SECOND


def test_unfinished_uploads_page_for_page(s3: S3) -> None:
    bucket = versioned(s3)
    keys = ["a b", "a%20b", "a+b", "a&<b", "x\ry", "ж", "\ue000", "same", "same", "same"]
    for key in keys:
        s3.client.create_multipart_upload(Bucket=bucket, Key=key)
    for size in (1000, 1, 3):
        assert sorted(key for key, _, _ in s3.unfinished_uploads(bucket, page_size=size)) == sorted(keys)


def test_server_time_advances_in_whole_seconds(any_s3: S3) -> None:
    bucket = versioned(any_s3)
    before = time.time() * SECOND
    first = any_s3.server_time(bucket)
    assert first % SECOND == 0 and before - 2 * SECOND < first <= time.time() * SECOND + SECOND
    assert next_second(any_s3, bucket) < any_s3.server_time(bucket) <= time.time() * SECOND + SECOND
    with pytest.raises(NotFound):
        any_s3.server_time(unique("nobodys"))


def test_listed_times_and_server_time_are_one_clock(s3: S3) -> None:
    """A version counts from its second on."""
    bucket = versioned(s3)
    s3.put(bucket, "key", b"1")
    asked = s3.server_time(bucket)
    (version,) = s3.versions(bucket)
    assert entry_at([version], asked) is not None
    assert entry_at([version], asked - 2 * SECOND) is None


def entry_at(history: list[ObjectVersion], second: int) -> Entry | None:
    return current_at(history, second, born_later=False)
