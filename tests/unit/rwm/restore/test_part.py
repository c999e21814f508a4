"""The part of a state below a prefix: what is in it, and where it is restored."""

from __future__ import annotations

import json

import pytest

from rwm.errors import NotFound, Refused, UsageError
from rwm.location import Location
from rwm.restore import StatePart
from rwm.restore.directory import HIDDEN
from tests.unit.rwm.restore.restore_setup import BUCKET, RestoreSetup

REPOSITORY = ("host1/config", "host1/data/00/a", "host1/keys/k", "host1/data/sub/x", "host1/notes/n")
OTHERS = ("config", "host12/config", "host2/config")


def relative(keys: tuple[str, ...]) -> dict[str, bytes]:
    """Content by name of the files of host1, at the root of a directory."""
    return {key.removeprefix("host1/"): key.encode() for key in keys}


@pytest.mark.parametrize(("captured", "named"), [("host1/", ""), ("", "host1/"), ("host1/", "host1/")])
def test_a_repository_below_a_prefix_is_restored_at_the_root(setup: RestoreSetup, captured: str, named: str) -> None:
    info = setup.capture(*REPOSITORY, *OTHERS, prefix=captured)
    result = setup.restore(info, named)
    assert (result.objects, result.failures) == (len(REPOSITORY), [])
    assert setup.files() == relative(REPOSITORY)
    result = setup.copy(info, "other/copy", named)
    assert (result.objects, result.failures) == (len(REPOSITORY), [])
    assert setup.s3.present("other").keys() == {f"copy/{name}" for name in relative(REPOSITORY)}


def test_a_part_counts_its_own_objects(setup: RestoreSetup) -> None:
    info = setup.capture(*REPOSITORY, *OTHERS)
    assert StatePart(setup.index, info).objects == len(REPOSITORY) + len(OTHERS)
    assert StatePart(setup.index, info, "host1/notes/").objects == 1


def test_hidden_keys_of_a_part_have_its_keys_in_full(setup: RestoreSetup) -> None:
    info = setup.capture("host1/a", "host1//b", f"host1/{HIDDEN}", "..")
    result = setup.restore(info, "host1/")
    assert (result.hidden, result.hidden_directory) == (1, f"{HIDDEN}-1")
    assert json.loads((setup.target / f"{HIDDEN}-1" / "keys.jsonl").read_text())["key"] == "host1//b"


def test_a_prefix_with_only_hidden_keys_is_not_empty(setup: RestoreSetup) -> None:
    assert StatePart(setup.index, setup.capture("host1//b"), "host1/").objects == 1


def test_a_prefix_with_nothing_below_it_is_not_found(setup: RestoreSetup) -> None:
    with pytest.raises(NotFound, match="has nothing below bucket1/host3"):
        StatePart(setup.index, setup.capture(*REPOSITORY), "host3/")


@pytest.mark.parametrize("prefix", ["host1/data/", "host1/data/00/", "host1/keys/", "host1/snapshots/"])
def test_a_directory_of_a_repository_is_refused(setup: RestoreSetup, prefix: str) -> None:
    info = setup.capture(*REPOSITORY)
    with pytest.raises(UsageError, match="is a directory of the repository at bucket1/host1"):
        StatePart(setup.index, info, prefix)


def test_a_repository_in_a_directory_of_another_one_is_restored(setup: RestoreSetup) -> None:
    nested = tuple(f"host1/data/nested/{name}" for name in ("config", "data/00/a", "keys/k"))
    assert setup.restore(setup.capture(*REPOSITORY, *nested), "host1/data/nested/").objects == 3


def test_a_directory_beside_those_of_a_repository_is_restored(setup: RestoreSetup) -> None:
    info = setup.capture(*REPOSITORY, "host2/data/x")
    for prefix in ("host1/notes/", "host2/data/"):
        assert StatePart(setup.index, info, prefix).objects == 1


class TestTarget:
    @pytest.mark.parametrize(
        ("target", "reason"),
        [
            ("bucket1/host1", "bucket1/host1 is the state's own"),
            ("bucket1/host1/copy", "bucket1/host1/copy is inside bucket1/host1"),
            ("bucket1", "bucket bucket1 is above bucket1/host1"),
        ],
    )
    def test_that_overlaps_what_is_restored_is_refused(self, setup: RestoreSetup, target: str, reason: str) -> None:
        with pytest.raises(UsageError, match=reason):
            setup.copy(setup.capture(*REPOSITORY), target, "host1/")

    def test_apart_in_the_same_bucket_is_accepted(self, setup: RestoreSetup) -> None:
        info = setup.capture("host1/config", "host12/x")
        assert setup.copy(info, "bucket1/host3", "host1/").failures == []
        assert setup.s3.present(BUCKET).keys() >= {"host3/config"}

    def test_with_anything_below_it_is_refused(self, setup: RestoreSetup) -> None:
        info = setup.capture("host1/config", "host2/x")
        setup.s3.delete(BUCKET, "host2/x")
        with pytest.raises(Refused, match="bucket1/host2 is not empty"):
            setup.copy(info, "bucket1/host2", "host1/")

    @pytest.mark.parametrize("target", ["other/data", "other/data/00/x", "other/locks/sub"])
    def test_inside_a_repository_is_refused(self, setup: RestoreSetup, target: str) -> None:
        info = setup.capture("config", "data/y", "keys/k")
        setup.copy(info, "other")
        with pytest.raises(UsageError, match="is a directory of the repository at other"):
            setup.copy(info, target)
        assert setup.copy(info, "other/copies/data").failures == []

    def test_keys_of_rwm_s_own_are_not_written(self, setup: RestoreSetup) -> None:
        result = setup.copy(setup.capture("host1/config", "host1/rwm/x"), "other", "host1/")
        assert [key for key, _ in result.failures] == ["host1/rwm/x"]
        assert "RWM keeps its own objects" in result.failures[0][1]
        assert setup.s3.present("other").keys() == {"config"}


def test_a_part_says_where_it_was(setup: RestoreSetup) -> None:
    part = StatePart(setup.index, setup.capture("host1/config"), "host1/")
    assert part.location == Location(BUCKET, "host1/")


def test_a_location_above_that_of_the_state_adds_nothing_to_the_keys(setup: RestoreSetup) -> None:
    info = setup.capture("group/host1/config", "group/host1/data/00/a", prefix="group/host1/")
    part = StatePart(setup.index, info, "group/")
    assert (part.prefix, part.objects, part.relative("group/host1/config")) == ("group/host1/", 2, "config")
