"""Restore: every entry arrives as it was, and nothing is written where it should not be, whatever the keys say."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwm.capture import capture
from rwm.errors import AccessDenied, Refused, RwmError, UsageError
from rwm.index import Index
from rwm.model import StateInfo
from rwm.names import hidden_keys
from rwm.restore import HIDDEN, RestoreResult, to_bucket, to_directory
from tests.unit.memory import START, MemoryS3

BUCKET = "bucket1"


class Place:
    """A bucket with an index, and somewhere to restore to."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.target = directory / "outer" / "target"
        self.target.parent.mkdir()
        self.s3 = MemoryS3(BUCKET)
        self.index = Index.open(directory / "index.sqlite")

    def state(self, *keys: str) -> StateInfo:
        """A state of these keys, each with its own name as content."""
        for key in keys:
            self.s3.put(BUCKET, key, key.encode())
        return capture(self.s3, self.index, BUCKET)

    def restore(self, info: StateInfo) -> RestoreResult:
        return to_directory(self.s3, self.index, info, self.target)

    def files(self, top: Path | None = None) -> dict[str, bytes]:
        """Every file below a directory."""
        top = top or self.target
        return {str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_every_entry_becomes_a_file_of_its_own_content(place: Place) -> None:
    info = place.state("config", "data/00/a", "data/01/b", "with space/Привет %")
    result = place.restore(info)
    assert (result.objects, result.bytes, result.hidden, result.failures) == (4, info.bytes, 0, [])
    assert place.files() == {key: key.encode() for key in ("config", "data/00/a", "data/01/b", "with space/Привет %")}


def test_it_is_the_version_of_the_state_that_comes(place: Place) -> None:
    info = place.state("config", "data/00/a")
    place.s3.put(BUCKET, "config", b"garbage")
    place.s3.delete(BUCKET, "data/00/a")
    place.restore(info)
    assert place.files() == {"config": b"config", "data/00/a": b"data/00/a"}


def test_files_and_directories_are_private_and_have_their_times(place: Place) -> None:
    info = place.state("a/b/c/file")
    old = os.umask(0)
    try:
        place.restore(info)
    finally:
        os.umask(old)
    assert (place.target / "a/b/c/file").stat().st_mode & 0o777 == 0o600
    for directory in ("", "a", "a/b", "a/b/c"):
        assert (place.target / directory).stat().st_mode & 0o777 == 0o700, directory
    assert (place.target / "a/b/c/file").stat().st_mtime_ns == START * 1_000_000


HOSTILE = (
    "../outside",
    "../../outside",
    "a/../../../outside",
    "/etc/outside",
    "//outside",
    "./outside",
    "..",
    ".",
    "a/..",
    "a//b",
    "a/",
    "nul\0within",
    "n" * 256,
    "file",
    "file/below",
)


def test_hostile_keys_never_leave_the_directory(place: Place) -> None:
    info = place.state(*HOSTILE)
    before = {path for path in place.directory.rglob("*") if not path.is_relative_to(place.target)}
    result = place.restore(info)
    after = {path for path in place.directory.rglob("*") if not path.is_relative_to(place.target)}
    assert {path.name for path in after - before} <= {"index.sqlite-wal", "index.sqlite-shm"}
    assert not Path("/etc/outside").exists()
    assert (result.objects, result.failures) == (len(HOSTILE), [])
    assert place.files()["file/below"] == b"file/below"


def test_keys_without_a_path_are_kept_aside_with_their_names(place: Place) -> None:
    place.restore(place.state(*HOSTILE))
    lines = [json.loads(line) for line in (place.target / HIDDEN / "keys.jsonl").read_text().splitlines()]
    hidden = sorted(hidden_keys(HOSTILE))
    assert [line["key"] for line in lines] == hidden
    for line in lines:
        assert line["file"] == hashlib.sha256(line["key"].encode()).hexdigest()
        assert (place.target / HIDDEN / line["file"]).read_bytes() == line["key"].encode()
    assert len(place.files()) == len(HOSTILE) + 1


def test_without_hidden_keys_there_is_nothing_aside(place: Place) -> None:
    place.restore(place.state("config"))
    assert not (place.target / HIDDEN).exists()


def test_a_key_that_pretends_to_be_ours_is_a_failure_and_overwrites_nothing(place: Place) -> None:
    result = place.restore(place.state("..", f"{HIDDEN}/keys.jsonl"))
    assert [key for key, _ in result.failures] == [f"{HIDDEN}/keys.jsonl"]
    assert json.loads((place.target / HIDDEN / "keys.jsonl").read_text())["key"] == ".."


keys = st.sets(st.text(alphabet="a./", min_size=1, max_size=6), min_size=1, max_size=6)


@given(keys=keys)
def test_whatever_the_keys_all_content_arrives_within_the_directory(
    tmp_path_factory: pytest.TempPathFactory, keys: set[str]
) -> None:
    place = Place(tmp_path_factory.mktemp("restore"))
    result = place.restore(place.state(*keys))
    place.index.close()
    assert (result.objects, result.failures) == (len(keys), [])
    assert sorted(path.name for path in place.target.parent.iterdir()) == ["target"]
    found = place.files()
    found.pop(f"{HIDDEN}/keys.jsonl", None)
    assert sorted(found.values()) == sorted(key.encode() for key in keys)
    shown = {key for key in keys if key not in hidden_keys(keys)}
    assert {name: body for name, body in found.items() if not name.startswith(HIDDEN)} == {
        key: key.encode() for key in shown
    }


class TestWrongBytes:
    def test_too_few_bytes_leave_no_file(self, place: Place) -> None:
        info = place.state("config", "data/00/a")
        place.s3.wrong["config"] = b"conf"
        result = place.restore(info)
        assert result.failures == [("config", "4 bytes came, the state has 6")]
        assert (result.objects, result.bytes) == (1, len("data/00/a"))
        assert place.files() == {"data/00/a": b"data/00/a"}

    def test_too_many_bytes_leave_no_file(self, place: Place) -> None:
        info = place.state("config")
        place.s3.wrong["config"] = b"config and more"
        assert place.restore(info).objects == 0
        assert place.files() == {}

    def test_content_that_is_not_what_the_name_says_leaves_no_file(self, place: Place) -> None:
        good = f"index/{hashlib.sha256(b'good').hexdigest()}"
        poisoned = f"data/00/{hashlib.sha256(b'fine').hexdigest()}"
        place.s3.put(BUCKET, good, b"good")
        place.s3.put(BUCKET, poisoned, b"evil")
        result = place.restore(place.state())
        assert [key for key, _ in result.failures] == [poisoned]
        assert "not what its name says" in result.failures[0][1]
        assert place.files() == {good: b"good"}

    def test_a_version_that_is_gone_is_a_failure_of_its_own(self, place: Place) -> None:
        info = place.state("config", "keys/k")
        place.s3.remove(BUCKET, "config", place.s3.present(BUCKET)["config"])
        result = place.restore(info)
        assert [key for key, _ in result.failures] == ["config"]
        assert place.files() == {"keys/k": b"keys/k"}

    def test_what_meets_every_object_alike_is_raised(self, place: Place) -> None:
        info = place.state("config")
        place.s3.denied.add("config")
        with pytest.raises(AccessDenied):
            place.restore(info)
        assert place.files() == {}


class TestDirectory:
    def test_one_that_is_in_use_is_refused_and_left_alone(self, place: Place) -> None:
        info = place.state("config")
        place.target.mkdir()
        (place.target / ".hidden").touch()
        with pytest.raises(Refused, match="is not empty"):
            place.restore(info)
        assert place.files() == {".hidden": b""}

    def test_one_that_is_empty_is_taken(self, place: Place) -> None:
        place.target.mkdir()
        assert place.restore(place.state("config")).objects == 1

    def test_one_that_cannot_be_made_is_a_usage_error(self, place: Place) -> None:
        place.target.touch()
        with pytest.raises(UsageError, match=str(place.target)):
            place.restore(place.state("config"))

    def test_a_full_disk_is_one_clear_error(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        info = place.state("config")

        def full(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("rwm.restore._create", full)
        with pytest.raises(RwmError, match="config: No space left on device"):
            place.restore(info)

    def test_progress_counts_every_object(self, place: Place) -> None:
        counted: list[int] = []
        to_directory(place.s3, place.index, place.state("a", "b", ".."), place.target, counted.append)
        assert sum(counted) == 3


class TestBucket:
    def test_every_key_arrives_hidden_ones_too(self, place: Place) -> None:
        info = place.state(*HOSTILE)
        place.s3.put(BUCKET, "file", b"garbage")
        result = to_bucket(place.s3, place.index, info, "new")
        assert (result.objects, result.failures) == (len(HOSTILE), [])
        assert place.s3.states["new"] == "Enabled"
        versions = place.s3.present("new")
        assert {key: place.s3.bodies[versions[key]] for key in versions} == {key: key.encode() for key in HOSTILE}

    def test_our_own_objects_are_not_copied(self, place: Place) -> None:
        to_bucket(place.s3, place.index, place.state("config"), "new")
        assert place.s3.present("new").keys() == {"config"}

    def test_a_state_of_the_copy_has_the_same_content(self, place: Place) -> None:
        info = place.state("config", "data/00/a")
        to_bucket(place.s3, place.index, info, "new")
        copied = capture(place.s3, place.index, "new")
        assert [(e.key, e.size) for e in place.index.entries(copied)] == [
            (e.key, e.size) for e in place.index.entries(info)
        ]

    def test_the_bucket_of_the_state_is_refused(self, place: Place) -> None:
        with pytest.raises(UsageError, match="is the state's own"):
            to_bucket(place.s3, place.index, place.state("config"), BUCKET)

    def test_one_that_holds_anything_is_refused_even_a_marker(self, place: Place) -> None:
        info = place.state("config")
        place.s3.create_bucket("other")
        place.s3.delete("other", "k")
        with pytest.raises(Refused, match="is not empty"):
            to_bucket(place.s3, place.index, info, "other")
        assert place.s3.present("other") == {}

    def test_an_empty_one_is_taken(self, place: Place) -> None:
        info = place.state("config")
        place.s3.create_bucket("other")
        assert to_bucket(place.s3, place.index, info, "other").objects == 1

    def test_what_did_not_arrive_whole_is_a_failure(self, place: Place) -> None:
        info = place.state("config", "keys/k")
        place.s3.wrong["config"] = b"short"
        result = to_bucket(place.s3, place.index, info, "new")
        assert result.failures == [("config", "5 bytes arrived of 6")]
        assert (result.objects, result.bytes) == (1, len("keys/k"))

    def test_a_version_that_is_gone_is_a_failure_once(self, place: Place) -> None:
        info = place.state("config", "keys/k")
        place.s3.remove(BUCKET, "config", place.s3.present(BUCKET)["config"])
        result = to_bucket(place.s3, place.index, info, "new")
        assert [key for key, _ in result.failures] == ["config"]
        assert result.objects == 1
