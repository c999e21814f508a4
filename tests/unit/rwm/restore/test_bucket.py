"""Copies of a state in another bucket."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rwm.errors import Refused, UsageError
from rwm.location import Location
from rwm.model import StateInfo
from rwm.states.capture import capture_state
from tests.unit.memory import MemoryS3
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


class TestResume:
    def test_what_is_there_is_not_copied_again(self, setup: RestoreSetup) -> None:
        info = setup.capture("config", "data/00/a")
        setup.copy(info)
        read = setup.fail_reads({})
        result = setup.copy(info)
        assert (read, result.objects, result.kept, result.failures) == ([], 2, 2, [])

    def test_what_is_missing_is_copied(self, setup: RestoreSetup) -> None:
        info = setup.capture("config", "data/00/a")
        setup.copy(info)
        setup.s3.buckets["new"].pop("config")
        read = setup.fail_reads({})
        assert setup.copy(info).kept == 1
        assert read == ["config"]

    @pytest.mark.parametrize("target", ["new", "new/copy"])
    def test_a_new_bucket_without_versioning_gets_it(
        self, setup: RestoreSetup, monkeypatch: pytest.MonkeyPatch, target: str
    ) -> None:
        info = setup.capture("config")
        with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
            patch.setattr(setup.s3, "enable_versioning", raise_interrupt)
            setup.copy(info, target)
        assert setup.s3.states["new"] == ""
        assert setup.copy(info, target).objects == 1
        assert setup.s3.states["new"] == "Enabled"

    def test_a_bucket_with_objects_keeps_its_setting(self, setup: RestoreSetup) -> None:
        info = setup.capture("config")
        setup.s3.create_bucket("other")
        setup.s3.put("other", "beside", b"")
        setup.copy(info, "other/copy")
        assert setup.s3.states["other"] == ""

    def test_uploads_that_an_interrupted_run_left_are_aborted(
        self, setup: RestoreSetup, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("rwm.restore.bucket.COPY_LIMIT", 6)
        info = setup.capture("data/large", "config")
        setup.s3.create_bucket("new")
        setup.s3.uploads = [("data/large", "ours", 1), ("config", "small", 1), ("other", "foreign", 1)]
        setup.copy(info)
        assert [upload for _, upload, _ in setup.s3.uploads] == ["small", "foreign"]

    def test_uploads_below_the_prefix_of_the_target_are_aborted(
        self, setup: RestoreSetup, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("rwm.restore.bucket.COPY_LIMIT", 6)
        info = setup.capture("host1/data/large", prefix="host1/")
        setup.s3.create_bucket("other")
        setup.s3.uploads = [("copy/data/large", "ours", 1), ("host1/data/large", "foreign", 1)]
        setup.copy(info, "other/copy")
        assert [upload for _, upload, _ in setup.s3.uploads] == ["foreign"]

    def test_etags_that_say_nothing_are_copied_again(self, setup: RestoreSetup) -> None:
        info = setup.capture("config")
        setup.copy(info)
        history = setup.s3.buckets["new"]["config"]
        history[0] = history[0]._replace(etag=f"{hashlib.md5(b'x').hexdigest()}-2")
        assert setup.copy(info).kept == 0
        assert len(history) == 2

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            (lambda s3: s3.put("new", "notes", b""), "'notes': it is not of the state"),
            (lambda s3: s3.delete("new", "config"), "'config': it is deleted there"),
            (lambda s3: s3.put("new", "config", b"other config"), "'config': the copy has 12 of 6 bytes"),
            (lambda s3: s3.put("new", "keys/k", b"c0nfig"), "'keys/k': the copy has another content"),
        ],
    )
    def test_anything_else_is_refused(
        self, setup: RestoreSetup, change: Callable[[MemoryS3], object], why: str
    ) -> None:
        info = capture_with_md5(setup, "config", "keys/k")
        setup.copy(info)
        change(setup.s3)
        set_md5(setup.s3, "new")
        before = setup.s3.counts("new")
        with pytest.raises(Refused, match="is not empty") as error:
            setup.copy(info)
        assert why in error.value.message
        assert setup.s3.counts("new") == before

    def test_own_objects_of_rwm_do_not_count(self, setup: RestoreSetup) -> None:
        info = setup.capture("config")
        setup.copy(info)
        capture_state(setup.s3, setup.index, Location("new"))
        assert setup.copy(info).kept == 1

    def test_below_a_prefix(self, setup: RestoreSetup) -> None:
        info = setup.capture("host1/config", "host1/keys/k", prefix="host1/")
        setup.copy(info, "new/copy")
        setup.s3.buckets["new"].pop("copy/config")
        setup.s3.put("new", "beside", b"")
        assert setup.copy(info, "new/copy").kept == 1
        assert setup.s3.present("new").keys() == {"copy/config", "copy/keys/k", "beside"}

    @settings(max_examples=20)
    @given(steps=st.lists(st.integers(0, 8), max_size=3))
    def test_interrupted_at_any_copies_and_called_again(
        self, tmp_path_factory: pytest.TempPathFactory, steps: list[int]
    ) -> None:
        setup = RestoreSetup(tmp_path_factory.mktemp("restore"))
        info = setup.capture(*HOSTILE[:6])
        copy = setup.s3.copy
        for step in steps:
            left = [step]

            def killed(*args: object, left: list[int] = left, **kwargs: object) -> None:
                if not left[0]:
                    raise KeyboardInterrupt
                left[0] -= 1
                copy(*args, **kwargs)  # type: ignore[arg-type]

            with pytest.MonkeyPatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
                patch.setattr("rwm.restore.transfer.THREADS", 1)
                patch.setattr(setup.s3, "copy", killed)
                setup.copy(info)
        result = setup.copy(info)
        setup.index.close()
        assert (result.objects, result.failures) == (6, [])
        assert {key: setup.s3.bodies[version] for key, version in setup.s3.present("new").items()} == {
            key: key.encode() for key in HOSTILE[:6]
        }
        assert setup.s3.counts("new") == {"version": 6}


def raise_interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def set_md5(s3: MemoryS3, bucket: str) -> None:
    """Give every version the ETag of one that was uploaded whole."""
    for history in s3.buckets[bucket].values():
        history[:] = [
            entry if entry.is_marker else entry._replace(etag=hashlib.md5(s3.bodies[entry.version_id]).hexdigest())
            for entry in history
        ]


def capture_with_md5(setup: RestoreSetup, *keys: str) -> StateInfo:
    for key in keys:
        setup.s3.put(BUCKET, key, key.encode())
    set_md5(setup.s3, BUCKET)
    return setup.capture()


def test_a_copy_with_another_md5_sum_is_a_failure(setup: RestoreSetup, monkeypatch: pytest.MonkeyPatch) -> None:
    info = capture_with_md5(setup, "config")
    copy = setup.s3.copy

    def poisoned(*args: object, **kwargs: object) -> None:
        copy(*args, **kwargs)  # type: ignore[arg-type]
        setup.s3.put("new", "config", b"c0nfig")
        set_md5(setup.s3, "new")

    monkeypatch.setattr(setup.s3, "copy", poisoned)
    assert setup.copy(info).failures == [("config", "the copy has another content")]


def test_etags_of_encrypted_content_are_not_compared(setup: RestoreSetup, monkeypatch: pytest.MonkeyPatch) -> None:
    info = capture_with_md5(setup, "config")
    setup.copy(info)
    history = setup.s3.buckets["new"]["config"]
    history[0] = history[0]._replace(etag="0" * 32)
    monkeypatch.setattr(setup.s3, "has_md5_etag", lambda *_: False)
    assert setup.copy(info).failures == []


def test_what_somebody_else_writes_meanwhile_is_named(setup: RestoreSetup, monkeypatch: pytest.MonkeyPatch) -> None:
    info = setup.capture("config")
    copy = setup.s3.copy

    def beside(*args: object, **kwargs: object) -> None:
        copy(*args, **kwargs)  # type: ignore[arg-type]
        setup.s3.put("new", "notes", b"")

    monkeypatch.setattr(setup.s3, "copy", beside)
    result = setup.copy(info)
    assert (result.objects, result.failures, result.foreign) == (1, [], ["notes"])
