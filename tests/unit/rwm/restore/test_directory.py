"""Every entry becomes a verified file, and nothing is written outside the directory, whatever the keys are."""

from __future__ import annotations

import hashlib
import io
import json
import os
from pathlib import Path
from typing import IO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rwm.errors import AccessDenied, RwmError, Unreachable
from rwm.names import hidden_keys
from rwm.restore import StatePart, restore_to_directory
from rwm.restore.directory import HIDDEN
from rwm.restore.partial_files import key_digest
from rwm.restore.private_directory import create_file
from tests.unit.memory import START
from tests.unit.rwm.restore.restore_setup import BUCKET, HOSTILE, RestoreSetup

UNREACHABLE = Unreachable("GetObject config: no usable answer")


def test_every_entry_becomes_a_file(setup: RestoreSetup) -> None:
    info = setup.capture("config", "data/00/a", "data/01/b", "with space/Привет %")
    result = setup.restore(info)
    assert (result.objects, result.bytes, result.hidden, result.failures) == (4, info.bytes, 0, [])
    assert setup.files() == {key: key.encode() for key in ("config", "data/00/a", "data/01/b", "with space/Привет %")}


def test_files_have_the_versions_of_the_state(setup: RestoreSetup) -> None:
    info = setup.capture("config", "data/00/a")
    setup.s3.put(BUCKET, "config", b"garbage")
    setup.s3.delete(BUCKET, "data/00/a")
    setup.restore(info)
    assert setup.files() == {"config": b"config", "data/00/a": b"data/00/a"}


def test_files_are_private_and_keep_their_times(setup: RestoreSetup) -> None:
    info = setup.capture("a/b/c/file")
    old = os.umask(0)
    try:
        setup.restore(info)
    finally:
        os.umask(old)
    assert (setup.target / "a/b/c/file").stat().st_mode & 0o777 == 0o600
    for directory in ("", "a", "a/b", "a/b/c"):
        assert (setup.target / directory).stat().st_mode & 0o777 == 0o700, directory
    assert (setup.target / "a/b/c/file").stat().st_mtime_ns == START * 1_000_000


def test_hostile_keys_write_nothing_outside_the_directory(setup: RestoreSetup) -> None:
    info = setup.capture(*HOSTILE)
    before = {path for path in setup.directory.rglob("*") if not path.is_relative_to(setup.target)}
    result = setup.restore(info)
    after = {path for path in setup.directory.rglob("*") if not path.is_relative_to(setup.target)}
    assert {path.name for path in after - before} <= {"index.sqlite-wal", "index.sqlite-shm"}
    assert not Path("/etc/outside").exists()
    assert (result.objects, result.failures) == (len(HOSTILE), [])
    assert setup.files()["file/below"] == b"file/below"


def test_hidden_keys_get_a_directory_and_a_list(setup: RestoreSetup) -> None:
    setup.restore(setup.capture(*HOSTILE))
    lines = [json.loads(line) for line in (setup.target / HIDDEN / "keys.jsonl").read_text().splitlines()]
    hidden = sorted(hidden_keys(HOSTILE))
    assert [line["key"] for line in lines] == hidden
    for line in lines:
        assert line["file"] == hashlib.sha256(line["key"].encode()).hexdigest()
        assert (setup.target / HIDDEN / line["file"]).read_bytes() == line["key"].encode()
    assert len(setup.files()) == len(HOSTILE) + 1


def test_no_directory_without_hidden_keys(setup: RestoreSetup) -> None:
    setup.restore(setup.capture("config"))
    assert not (setup.target / HIDDEN).exists()


@pytest.mark.parametrize("taken", [f"{HIDDEN}/keys.jsonl", f"{HIDDEN}/{hashlib.sha256(b'..').hexdigest()}", HIDDEN])
def test_the_directory_of_hidden_keys_avoids_names_of_the_state(setup: RestoreSetup, taken: str) -> None:
    result = setup.restore(setup.capture("..", taken, f"{HIDDEN}-1/x"))
    assert (result.objects, result.failures, result.hidden_directory) == (3, [], f"{HIDDEN}-2")
    files = setup.files()
    assert json.loads(files.pop(f"{HIDDEN}-2/keys.jsonl"))["key"] == ".."
    assert files == {
        taken: taken.encode(),
        f"{HIDDEN}-1/x": f"{HIDDEN}-1/x".encode(),
        f"{HIDDEN}-2/{hashlib.sha256(b'..').hexdigest()}": b"..",
    }


keys = st.sets(st.text(alphabet="a./", min_size=1, max_size=6), min_size=1, max_size=6)


@settings(max_examples=50)
@given(keys=keys)
def test_all_content_is_restored_within_the_directory(tmp_path_factory: pytest.TempPathFactory, keys: set[str]) -> None:
    setup = RestoreSetup(tmp_path_factory.mktemp("restore"))
    result = setup.restore(setup.capture(*keys))
    setup.index.close()
    assert (result.objects, result.failures) == (len(keys), [])
    assert sorted(path.name for path in setup.target.parent.iterdir()) == ["target"]
    found = setup.files()
    found.pop(f"{HIDDEN}/keys.jsonl", None)
    assert sorted(found.values()) == sorted(key.encode() for key in keys)
    shown = {key for key in keys if key not in hidden_keys(keys)}
    assert {name: body for name, body in found.items() if not name.startswith(HIDDEN)} == {
        key: key.encode() for key in shown
    }


class TestVerification:
    def test_too_few_bytes_leave_no_file(self, setup: RestoreSetup) -> None:
        info = setup.capture("config", "data/00/a")
        setup.s3.wrong["config"] = b"conf"
        result = setup.restore(info)
        assert result.failures == [("config", "4 bytes received, the state has 6")]
        assert (result.objects, result.bytes) == (1, len("data/00/a"))
        assert setup.files() == {"data/00/a": b"data/00/a"}

    def test_too_many_bytes_leave_no_file(self, setup: RestoreSetup) -> None:
        info = setup.capture("config")
        setup.s3.wrong["config"] = b"config and more"
        assert setup.restore(info).objects == 0
        assert setup.files() == {}

    def test_a_body_without_an_end_is_not_read_on(self, setup: RestoreSetup, monkeypatch: pytest.MonkeyPatch) -> None:
        info = setup.capture("file")
        body = iter([b"file", b"more", b"more", b"more"])
        monkeypatch.setattr(setup.s3, "stream", lambda *_: body)
        assert [key for key, _ in setup.restore(info).failures] == ["file"]
        assert len(list(body)) == 2

    def test_content_that_does_not_match_its_name_leaves_no_file(self, setup: RestoreSetup) -> None:
        good = f"index/{hashlib.sha256(b'good').hexdigest()}"
        poisoned = f"data/00/{hashlib.sha256(b'fine').hexdigest()}"
        setup.s3.put(BUCKET, good, b"good")
        setup.s3.put(BUCKET, poisoned, b"evil")
        result = setup.restore(setup.capture())
        assert [key for key, _ in result.failures] == [poisoned]
        assert "does not match its name" in result.failures[0][1]
        assert setup.files() == {good: b"good"}

    def test_a_missing_version_is_a_failure(self, setup: RestoreSetup) -> None:
        info = setup.capture("config", "keys/k")
        setup.s3.remove(BUCKET, "config", setup.s3.present(BUCKET)["config"])
        result = setup.restore(info)
        assert result.failures == [("config", "NoSuchVersion (HTTP 404)")], "the key is not named twice"
        assert setup.files() == {"keys/k": b"keys/k"}

    def test_an_error_of_the_only_object_is_raised(self, setup: RestoreSetup) -> None:
        info = setup.capture("config")
        setup.s3.denied.add("config")
        with pytest.raises(AccessDenied):
            setup.restore(info)
        assert setup.files() == {}


class TestInterruptedBody:
    def test_is_downloaded_again(self, setup: RestoreSetup) -> None:
        info = setup.capture("config", "data/00/a")
        setup.fail_reads({"config": [UNREACHABLE, UNREACHABLE]})
        assert setup.restore(info).failures == []
        assert setup.files() == {"config": b"config", "data/00/a": b"data/00/a"}

    def test_is_one_failure_after_all_attempts(self, setup: RestoreSetup, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("rwm.restore.directory.BODY_ATTEMPTS", 2)
        info = setup.capture("config", "data/00/a")
        read = setup.fail_reads({"config": [UNREACHABLE] * 9})
        result = setup.restore(info)
        assert result.failures == [("config", "GetObject config: no usable answer")]
        assert (result.objects, result.bytes) == (1, len("data/00/a"))
        assert setup.files() == {"data/00/a": b"data/00/a"}
        assert read.count("config") == 2


class TestFilesystem:
    def test_an_invalid_name_is_a_failure(self, setup: RestoreSetup, monkeypatch: pytest.MonkeyPatch) -> None:
        info = setup.capture("config", "keys/k")

        def reject_config(directory: int, name: str) -> IO[bytes]:
            if name == key_digest("config"):
                raise OSError(36, "File name too long", name)
            return create_file(directory, name)

        monkeypatch.setattr("rwm.restore.partial_files.create_file", reject_config)
        assert setup.restore(info).failures == [("config", "File name too long")]
        assert setup.files() == {"keys/k": b"keys/k"}

    def test_an_error_at_close_leaves_no_file(self, setup: RestoreSetup, monkeypatch: pytest.MonkeyPatch) -> None:
        """Buffered data is written when the file is closed."""

        class Full(io.BufferedRandom):
            def close(self) -> None:
                super().close()
                raise OSError(28, "No space left on device")

        monkeypatch.setattr(
            "rwm.restore.partial_files.create_file",
            lambda directory, name: Full(create_file(directory, name).detach()),  # type: ignore[attr-defined]
        )
        with pytest.raises(RwmError, match="config: No space left"):
            setup.restore(setup.capture("config"))
        assert setup.files() == {}

    def test_a_full_disk_is_one_error(self, setup: RestoreSetup, monkeypatch: pytest.MonkeyPatch) -> None:
        info = setup.capture("config")

        def full(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("rwm.restore.partial_files.create_file", full)
        with pytest.raises(RwmError, match="config: No space left on device"):
            setup.restore(info)


def test_progress_counts_every_object(setup: RestoreSetup) -> None:
    counted: list[int] = []
    part = StatePart(setup.index, setup.capture("a", "b", ".."))
    restore_to_directory(setup.s3, part, setup.target, counted.append)
    assert sum(counted) == 3
