"""Copies of a state in another bucket."""

from __future__ import annotations

import pytest

from rwm.errors import Refused, UsageError
from rwm.location import Location
from rwm.states.capture import capture_state
from tests.unit.rwm.restore.restore_setup import BUCKET, HOSTILE, RestoreSetup


def test_every_key_is_copied_hidden_ones_too(setup: RestoreSetup) -> None:
    info = setup.capture(*HOSTILE)
    setup.s3.put(BUCKET, "file", b"garbage")
    result = setup.copy(info)
    assert (result.objects, result.failures) == (len(HOSTILE), [])
    assert setup.s3.states["new"] == "Enabled"
    versions = setup.s3.present("new")
    assert {key: setup.s3.bodies[versions[key]] for key in versions} == {key: key.encode() for key in HOSTILE}


def test_own_objects_are_not_copied(setup: RestoreSetup) -> None:
    setup.copy(setup.capture("config"))
    assert setup.s3.present("new").keys() == {"config"}


def test_a_state_of_the_copy_has_the_same_content(setup: RestoreSetup) -> None:
    info = setup.capture("config", "data/00/a")
    setup.copy(info)
    copied = capture_state(setup.s3, setup.index, Location("new"))
    assert [(e.key, e.size) for e in setup.index.entries(copied)] == [
        (e.key, e.size) for e in setup.index.entries(info)
    ]


def test_the_state_s_own_bucket_is_refused(setup: RestoreSetup) -> None:
    with pytest.raises(UsageError, match="is the state's own"):
        setup.copy(setup.capture("config"), BUCKET)


def test_a_bucket_with_any_entry_is_refused_even_a_marker(setup: RestoreSetup) -> None:
    info = setup.capture("config")
    setup.s3.create_bucket("other")
    setup.s3.delete("other", "k")
    with pytest.raises(Refused, match="is not empty"):
        setup.copy(info, "other")
    assert setup.s3.present("other") == {}


def test_an_empty_bucket_is_accepted(setup: RestoreSetup) -> None:
    info = setup.capture("config")
    setup.s3.create_bucket("other")
    assert setup.copy(info, "other").objects == 1


def test_a_copy_of_another_size_is_a_failure(setup: RestoreSetup) -> None:
    info = setup.capture("config", "keys/k")
    setup.s3.wrong["config"] = b"short"
    result = setup.copy(info)
    assert result.failures == [("config", "the copy has 5 of 6 bytes")]
    assert (result.objects, result.bytes) == (1, len("keys/k"))


def test_a_missing_version_is_one_failure(setup: RestoreSetup) -> None:
    info = setup.capture("config", "keys/k")
    setup.s3.remove(BUCKET, "config", setup.s3.present(BUCKET)["config"])
    result = setup.copy(info)
    assert [key for key, _ in result.failures] == ["config"]
    assert result.objects == 1
