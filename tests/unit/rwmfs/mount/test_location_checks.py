"""What a state must have at a location to be mounted there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rwm.errors import RwmError, StateNotFound, UsageError
from rwm.location import Location
from rwmfs.mount.location_checks import check_covers, check_directory
from tests.unit.fakes import FakeTree, entry_for

KEYS = [
    *(f"host1/{name}" for name in ("config", "keys/k", "data/ab/p", "locks/l")),
    *(f"host1/data/nested/{name}" for name in ("config", "keys/k", "data/ab/p")),
    *(f"host1/sub/host2/{name}" for name in ("config", "keys/k", "data/ab/p")),
    "plain/data/file",
    "hidden//x",
]
TREE = FakeTree(entry_for(key, 7) for key in KEYS)
ID = TREE.info.id[:12]


@pytest.mark.parametrize(
    "prefix", ["", "host1/", "host1/data/nested/", "host1/sub/", "host1/sub/host2/", "plain/", "plain/data/"]
)
def test_directories_that_can_be_mounted(prefix: str) -> None:
    check_directory(TREE, Location("bucket1", prefix))


@pytest.mark.parametrize(
    ("prefix", "error", "message", "hint"),
    [
        (
            "host1/data/",
            UsageError,
            "bucket1/host1/data is a directory of the repository at bucket1/host1",
            "host1",
        ),
        ("host1/locks/", UsageError, "bucket1/host1/locks is a directory of the repository at bucket1/host1", ""),
        (
            "host1/data/ab/",
            UsageError,
            "bucket1/host1/data/ab is a directory of the repository at bucket1/host1",
            "",
        ),
        ("host1/index/none/", UsageError, "bucket1/host1/index/none is a directory of the repository", ""),
        (
            "host1/data/nested/keys/",
            UsageError,
            "keys is a directory of the repository at bucket1/host1/data/nested",
            "name the repository itself: bucket1/host1/data/nested",
        ),
        ("host3/", StateNotFound, f"state {ID} has nothing below bucket1/host3", f"`rwm state show {ID}`"),
        ("host1/config/", StateNotFound, f"state {ID} has nothing below bucket1/host1/config", ""),
        ("hidden/", StateNotFound, f"state {ID} has nothing below bucket1/hidden", ""),
    ],
)
def test_directories_that_are_refused(prefix: str, error: type[RwmError], message: str, hint: str) -> None:
    with pytest.raises(error) as caught:
        check_directory(TREE, Location("bucket1", prefix))
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_only_a_whole_bucket_may_be_empty() -> None:
    check_directory(FakeTree([]), Location("bucket1"))
    with pytest.raises(StateNotFound, match="has nothing below bucket1/host1"):
        check_directory(FakeTree([], prefix="host1/"), Location("bucket1", "host1/"))


def test_a_tree_below_the_bucket() -> None:
    tree = FakeTree((entry_for(key, 7) for key in KEYS), prefix="host1/")
    check_directory(tree, Location("bucket1", "host1/"))
    with pytest.raises(UsageError, match="directory of the repository at bucket1/host1"):
        check_directory(tree, Location("bucket1", "host1/data/"))


def test_a_state_has_to_cover_the_location() -> None:
    info = replace(TREE.info, prefix="host1/")
    check_covers(info, Location("bucket1", "host1/"))
    check_covers(info, Location("bucket1", "host1/sub/"))
    for prefix in ("", "host2/"):
        with pytest.raises(UsageError, match="is of bucket1/host1, it does not cover bucket1") as caught:
            check_covers(info, Location("bucket1", prefix))
        assert caught.value.hint == "mount what it is of: bucket1/host1"
