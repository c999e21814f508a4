"""The bucket in memory behaves as servers do."""

from __future__ import annotations

import pytest

from tests.histories.bucket import JITTER, Bucket, etag_of
from tests.histories.steps import Start, Step, run, run_together


def entries(bucket: Bucket) -> list[tuple[str, str, bool]]:
    """(key, "put", "marker" or "null" before it, is latest) in the order of the listing."""
    return [
        (v.key, "null " * (v.version_id == "null") + ("marker" if v.is_marker else "put"), v.is_latest)
        for v in bucket.listing()
    ]


def test_versions_come_newest_first_and_keys_by_byte() -> None:
    bucket = Bucket()
    for key in ("b", "ü", "a", "b"):
        bucket.put(key, 1)
    bucket.delete("a")
    assert entries(bucket) == [
        ("a", "marker", True),
        ("a", "put", False),
        ("b", "put", True),
        ("b", "put", False),
        ("ü", "put", True),
    ]
    assert bucket.keys() == ["b", "ü"]


@pytest.mark.parametrize("repeats_markers", [False, True])
def test_deleting_a_deleted_key(repeats_markers: bool) -> None:
    bucket = Bucket(repeats_markers=repeats_markers)
    bucket.put("a", 1)
    assert bucket.delete("a")
    assert bool(bucket.delete("a")) == repeats_markers
    assert bucket.delete("never there")


def test_without_versioning_one_null_version_is_left() -> None:
    bucket = Bucket()
    bucket.versioning = "off"
    bucket.put("a", 1, "x")
    bucket.put("a", 2, "y")
    bucket.put("b", 1)
    assert bucket.delete("b") is None
    assert [(v.key, v.version_id, v.size) for v in bucket] == [("a", "null", 2)]


@pytest.mark.parametrize("last", [False, True])
def test_while_suspended_the_null_version_is_replaced(last: bool) -> None:
    bucket = Bucket(lists_null_last=last)
    bucket.put("a", 1)
    bucket.versioning = "suspended"
    bucket.put("a", 2)
    bucket.put("a", 3)
    assert sorted(entries(bucket)) == [("a", "null put", True), ("a", "put", False)]
    bucket.delete("a")
    assert entries(bucket) == sorted([("a", "null marker", True), ("a", "put", False)], reverse=last)
    assert bucket.newest("a").is_marker


def test_equal_contents_have_equal_etags_but_for_parts() -> None:
    assert etag_of("a", "x") == etag_of("a", "x") != etag_of("a", "y")
    assert etag_of("a", "x", 2).endswith("-2")


def test_removing_the_last_version_removes_the_key() -> None:
    bucket = Bucket()
    version = bucket.put("data/ab/x", 1)
    marker = bucket.delete("data/ab/x")
    assert marker
    bucket.remove_version("data/ab/x", marker.version_id)
    assert bucket.keys("data/") == ["data/ab/x"]
    bucket.remove_version("data/ab/x", version.version_id)
    assert not bucket.listing()
    assert not bucket.keys("data/")


def test_clocks() -> None:
    def times(bucket: Bucket) -> list[int]:
        steps = [Step("put", f"data/{n:02}/x", delay=3, parallel=n > 0) for n in range(40)]
        run(bucket, (step for step in steps))
        return [version.last_modified - 1_000_000 for version in bucket]

    assert times(Bucket("exact", now=1_000_000)) == [3 * n for n in range(1, 41)]
    assert set(times(Bucket("seconds", now=1_000_000))) == {0}
    jitter = times(Bucket("jitter", now=1_000_000))
    assert jitter != sorted(jitter)
    assert all(0 <= 3 * (n + 1) - time <= JITTER for n, time in enumerate(jitter))
    sequential = Bucket("jitter", now=1_000_000)
    run(sequential, (Step("put", f"{n:02}", delay=30) for n in range(40)))
    found = [version.last_modified for version in sequential]
    assert found == sorted(found)


def test_operations_run_together_and_are_killed() -> None:
    bucket = Bucket(now=0)
    one = (Step("put", f"one{n}", delay=10) for n in range(3))
    two = (Step("put", f"two{n}", delay=10) for n in range(3))
    done = run_together(bucket, [Start(0, one), Start(5, two, killed_after=2)])
    assert [step.key for step in done] == ["one0", "two0", "one1", "two1", "one2"]
