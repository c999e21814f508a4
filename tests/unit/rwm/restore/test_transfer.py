"""Faults of single objects are collected; faults of all objects are raised soon."""

from __future__ import annotations

import pytest

from rwm.errors import AccessDenied, Archived, BadResponse, NotFound, RwmError, S3Error, Unreachable, UsageError
from tests.unit.rwm.restore.restore_setup import RestoreSetup


@pytest.mark.parametrize(
    "error", [AccessDenied("no"), S3Error("no"), BadResponse("no"), NotFound("no"), UsageError("no")]
)
def test_an_error_of_one_object_does_not_stop_the_others(setup: RestoreSetup, error: RwmError) -> None:
    info = setup.capture("config", "data/00/a", "data/00/b")
    read = setup.fail_reads({"config": [error] * 9})
    assert setup.restore(info).failures == [("config", "no")]
    assert setup.files() == {key: key.encode() for key in ("data/00/a", "data/00/b")}
    assert read.count("config") == 1


def test_archived_objects_are_counted_and_do_not_end_a_restore(setup: RestoreSetup) -> None:
    names = [f"k{n:04}" for n in range(200)]
    info = setup.capture(*names)
    setup.fail_reads({name: [Archived("InvalidObjectState")] for name in names[:-1]})
    result = setup.restore(info)
    assert (result.objects, len(result.failures), result.archived) == (1, 199, 199)


def test_an_error_of_one_copy_does_not_stop_the_others(setup: RestoreSetup) -> None:
    info = setup.capture("config", "keys/k")
    setup.fail_reads({"config": [S3Error("CopyObject config: InvalidRequest")]})
    result = setup.copy(info)
    assert (result.objects, result.failures) == (1, [("config", "CopyObject config: InvalidRequest")])
    assert setup.s3.present("new").keys() == {"keys/k"}


@pytest.mark.parametrize("error", [AccessDenied("no", hint="check"), Unreachable("no", hint="check")])
class TestGeneralFaults:
    @pytest.fixture(autouse=True)
    def _without_retries(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("rwm.restore.directory.BODY_ATTEMPTS", 1)

    def test_raised_after_a_few_failures_when_nothing_was_restored(self, setup: RestoreSetup, error: RwmError) -> None:
        names = [f"k{n:04}" for n in range(500)]
        info = setup.capture(*names)
        read = setup.fail_reads({name: [error] for name in names})
        with pytest.raises(type(error), match="no; 16 consecutive failures, 0 objects restored") as caught:
            setup.restore(info)
        assert caught.value.hint == "check"
        assert len(read) <= 128
        assert setup.files() == {}

    def test_raised_after_many_failures_when_some_were_restored(self, setup: RestoreSetup, error: RwmError) -> None:
        names = [f"k{n:04}" for n in range(1000)]
        info = setup.capture(*names)
        read = setup.fail_reads({name: [error] for name in names[10:]})
        with pytest.raises(type(error), match="no; 100 consecutive failures, 10 objects restored"):
            setup.restore(info)
        assert len(read) <= 256
        assert len(setup.files()) == 10

    def test_one_object_is_one(self, setup: RestoreSetup, error: RwmError) -> None:
        names = [f"k{n:04}" for n in range(200)]
        info = setup.capture(*names)
        setup.fail_reads({name: [error] for name in names[1:]})
        with pytest.raises(type(error), match="100 consecutive failures, 1 object restored"):
            setup.restore(info)

    def test_scattered_failures_are_collected(self, setup: RestoreSetup, error: RwmError) -> None:
        names = [f"k{n:04}" for n in range(300)]
        info = setup.capture(*names)
        setup.fail_reads({name: [error] for name in names if not name.endswith("5")})
        assert setup.restore(info).objects == 30

    def test_raised_when_every_object_of_a_small_state_fails(self, setup: RestoreSetup, error: RwmError) -> None:
        info = setup.capture("a", "b")
        setup.fail_reads({"a": [error], "b": [error]})
        with pytest.raises(type(error)):
            setup.restore(info)
