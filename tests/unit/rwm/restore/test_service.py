"""Restore: every entry arrives as it was, and nothing is written where it should not be, whatever the keys say."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwm.errors import AccessDenied, BadResponse, NotFound, Refused, RwmError, S3Error, Unreachable, UsageError
from rwm.index import Index
from rwm.model import StateInfo
from rwm.names import hidden_keys
from rwm.restore import service as restore
from rwm.restore.service import HIDDEN, RestoreResult, restore_to_bucket, restore_to_directory
from rwm.states.capture import capture_state
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
        return capture_state(self.s3, self.index, BUCKET)

    def restore(self, info: StateInfo) -> RestoreResult:
        return restore_to_directory(self.s3, self.index, info, self.target)

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


@pytest.mark.parametrize("ours", [f"{HIDDEN}/keys.jsonl", f"{HIDDEN}/{hashlib.sha256(b'..').hexdigest()}", HIDDEN])
def test_keys_that_are_named_like_ours_are_restored_and_ours_go_elsewhere(place: Place, ours: str) -> None:
    result = place.restore(place.state("..", ours, f"{HIDDEN}-1/x"))
    assert (result.objects, result.failures, result.aside) == (3, [], f"{HIDDEN}-2")
    files = place.files()
    assert json.loads(files.pop(f"{HIDDEN}-2/keys.jsonl"))["key"] == ".."
    assert files == {
        ours: ours.encode(),
        f"{HIDDEN}-1/x": f"{HIDDEN}-1/x".encode(),
        f"{HIDDEN}-2/{hashlib.sha256(b'..').hexdigest()}": b"..",
    }


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


def failing(place: Place, faults: dict[str, list[RwmError]]) -> list[str]:
    """Let reading (and copying) a key break off with each of these in turn; returns the keys that are read."""
    read: list[str] = []
    stream = place.s3.stream

    def broken(bucket: str, key: str, version_id: str | None = None) -> Iterator[bytes]:
        read.append(key)
        body = stream(bucket, key, version_id)
        if faults.get(key):
            yield next(body)
            raise faults[key].pop(0)
        yield from body

    place.s3.stream = broken  # type: ignore[method-assign]
    return read


def gone(key: str) -> Unreachable:
    return Unreachable(f"GetObject {key}: no usable answer")


class TestFaultsOfSingleObjects:
    def test_a_body_that_breaks_off_is_begun_again(self, place: Place) -> None:
        info = place.state("config", "data/00/a")
        failing(place, {"config": [gone("config"), gone("config")]})
        assert place.restore(info).failures == []
        assert place.files() == {"config": b"config", "data/00/a": b"data/00/a"}

    def test_one_that_breaks_off_every_time_is_one_failure(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("rwm.restore.service.BODY_ATTEMPTS", 2)
        info = place.state("config", "data/00/a")
        read = failing(place, {"config": [gone("config")] * 9})
        result = place.restore(info)
        assert result.failures == [("config", "GetObject config: no usable answer")]
        assert (result.objects, result.bytes) == (1, len("data/00/a"))
        assert place.files() == {"data/00/a": b"data/00/a"}
        assert read.count("config") == 2

    @pytest.mark.parametrize(
        "error", [AccessDenied("no"), S3Error("no"), BadResponse("no"), NotFound("no"), UsageError("no")]
    )
    def test_whatever_is_wrong_with_one_the_others_are_restored(self, place: Place, error: RwmError) -> None:
        info = place.state("config", "data/00/a", "data/00/b")
        read = failing(place, {"config": [error] * 9})
        assert place.restore(info).failures == [("config", "no")]
        assert place.files() == {key: key.encode() for key in ("data/00/a", "data/00/b")}
        assert read.count("config") == 1

    def test_a_name_that_the_filesystem_does_not_take(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        info = place.state("config", "keys/k")
        create = restore._create

        def picky(path: Path) -> IO[bytes]:
            if path.name == "config":
                raise OSError(36, "File name too long", str(path))
            return create(path)

        monkeypatch.setattr("rwm.restore.service._create", picky)
        assert place.restore(info).failures == [("config", "File name too long")]
        assert place.files() == {"keys/k": b"keys/k"}

    def test_no_file_stays_whose_end_found_no_room(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        """What is written is kept until the file is closed."""
        create = restore._create

        class Full(io.BufferedWriter):
            def close(self) -> None:
                super().close()
                raise OSError(28, "No space left on device")

        monkeypatch.setattr("rwm.restore.service._create", lambda path: Full(create(path).detach()))  # type: ignore[attr-defined]
        with pytest.raises(RwmError, match="config: No space left"):
            place.restore(place.state("config"))
        assert place.files() == {}

    def test_copies_too(self, place: Place) -> None:
        info = place.state("config", "keys/k")
        failing(place, {"config": [S3Error("CopyObject config: InvalidRequest")]})
        result = restore_to_bucket(place.s3, place.index, info, "new")
        assert (result.objects, result.failures) == (1, [("config", "CopyObject config: InvalidRequest")])
        assert place.s3.present("new").keys() == {"keys/k"}


@pytest.mark.parametrize("error", [AccessDenied("no", hint="check"), Unreachable("no", hint="check")])
class TestFaultsOfAll:
    @pytest.fixture(autouse=True)
    def _in_haste(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("rwm.restore.service.BODY_ATTEMPTS", 1)

    def test_nothing_can_be_read_at_all(self, place: Place, error: RwmError) -> None:
        names = [f"k{n:04}" for n in range(500)]
        info = place.state(*names)
        read = failing(place, {name: [error] for name in names})
        with pytest.raises(type(error), match="no; so 16 times in a row, 0 objects are restored") as caught:
            place.restore(info)
        assert caught.value.hint == "check"
        assert len(read) <= 128
        assert place.files() == {}

    def test_nothing_can_be_read_any_more(self, place: Place, error: RwmError) -> None:
        names = [f"k{n:04}" for n in range(1000)]
        info = place.state(*names)
        read = failing(place, {name: [error] for name in names[10:]})
        with pytest.raises(type(error), match="no; so 100 times in a row, 10 objects are restored"):
            place.restore(info)
        assert len(read) <= 256
        assert len(place.files()) == 10

    def test_some_of_many_can_not(self, place: Place, error: RwmError) -> None:
        names = [f"k{n:04}" for n in range(300)]
        info = place.state(*names)
        failing(place, {name: [error] for name in names if not name.endswith("5")})
        assert place.restore(info).objects == 30

    def test_all_of_a_few_is_all(self, place: Place, error: RwmError) -> None:
        info = place.state("a", "b")
        failing(place, {"a": [error], "b": [error]})
        with pytest.raises(type(error)):
            place.restore(info)


class TestDirectory:
    def test_one_that_is_in_use_is_refused_and_left_alone(self, place: Place) -> None:
        info = place.state("config")
        place.target.mkdir()
        (place.target / ".hidden").touch()
        with pytest.raises(Refused, match="is not empty"):
            place.restore(info)
        assert place.files() == {".hidden": b""}

    def test_what_a_failed_restore_left_is_in_use_and_another_one_is_made(self, place: Place) -> None:
        info = place.state("config")
        place.restore(info)
        with pytest.raises(Refused) as error:
            place.restore(info)
        assert "name a new one" in error.value.hint

    def test_one_of_another_user_is_refused(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        place.target.mkdir(mode=0o700)
        os.chown(place.target, 12345, -1) if os.geteuid() == 0 else monkeypatch.setattr(os, "geteuid", lambda: 12345)
        with pytest.raises(Refused, match="belongs to another user"):
            place.restore(place.state("config"))
        assert place.files() == {}

    @pytest.mark.parametrize("mode", [0o720, 0o702, 0o1777])
    def test_one_that_others_may_write_to_is_refused(self, place: Place, mode: int) -> None:
        place.target.mkdir()
        place.target.chmod(mode)
        with pytest.raises(Refused, match=f"written to by others .mode {mode:04o}"):
            place.restore(place.state("config"))
        assert place.files() == {}

    def test_one_that_others_may_read_is_taken(self, place: Place) -> None:
        place.target.mkdir(mode=0o755)
        assert place.restore(place.state("config")).objects == 1

    def test_a_symbolic_link_is_refused(self, place: Place) -> None:
        (place.directory / "real").mkdir(mode=0o700)
        place.target.symlink_to(place.directory / "real")
        with pytest.raises(Refused, match="symbolic link"):
            place.restore(place.state("config"))
        assert place.files(place.directory / "real") == {}

    def test_what_is_missing_above_is_private_whatever_the_umask(self, place: Place) -> None:
        info = place.state("config")
        place.target = place.directory / "one" / "two" / "three"
        old = os.umask(0)
        try:
            place.restore(info)
        finally:
            os.umask(old)
        for made in (place.target, *list(place.target.parents)[:2]):
            assert made.stat().st_mode & 0o777 == 0o700, made

    def test_nothing_follows_a_name_that_leads_elsewhere_meanwhile(self, place: Place) -> None:
        """Who may write to the directory above can put another in the place of ours."""
        info = place.state("a/x", "b/x")
        victim = place.directory / "victim"
        victim.mkdir()
        stream, moved = place.s3.stream, place.target.with_name("moved")

        def swapping(*words: str) -> Iterator[bytes]:
            if not moved.exists():
                place.target.rename(moved)
                place.target.symlink_to(victim)
            return stream(*words)

        place.s3.stream = swapping  # type: ignore[method-assign, assignment]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("rwm.restore.service.THREADS", 1)
            assert place.restore(info).objects == 2
        assert place.files(victim) == {}
        assert place.files(moved) == {"a/x": b"a/x", "b/x": b"b/x"}

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

        monkeypatch.setattr("rwm.restore.service._create", full)
        with pytest.raises(RwmError, match="config: No space left on device"):
            place.restore(info)

    def test_progress_counts_every_object(self, place: Place) -> None:
        counted: list[int] = []
        restore_to_directory(place.s3, place.index, place.state("a", "b", ".."), place.target, counted.append)
        assert sum(counted) == 3


class TestBucket:
    def test_every_key_arrives_hidden_ones_too(self, place: Place) -> None:
        info = place.state(*HOSTILE)
        place.s3.put(BUCKET, "file", b"garbage")
        result = restore_to_bucket(place.s3, place.index, info, "new")
        assert (result.objects, result.failures) == (len(HOSTILE), [])
        assert place.s3.states["new"] == "Enabled"
        versions = place.s3.present("new")
        assert {key: place.s3.bodies[versions[key]] for key in versions} == {key: key.encode() for key in HOSTILE}

    def test_our_own_objects_are_not_copied(self, place: Place) -> None:
        restore_to_bucket(place.s3, place.index, place.state("config"), "new")
        assert place.s3.present("new").keys() == {"config"}

    def test_a_state_of_the_copy_has_the_same_content(self, place: Place) -> None:
        info = place.state("config", "data/00/a")
        restore_to_bucket(place.s3, place.index, info, "new")
        copied = capture_state(place.s3, place.index, "new")
        assert [(e.key, e.size) for e in place.index.entries(copied)] == [
            (e.key, e.size) for e in place.index.entries(info)
        ]

    def test_the_bucket_of_the_state_is_refused(self, place: Place) -> None:
        with pytest.raises(UsageError, match="is the state's own"):
            restore_to_bucket(place.s3, place.index, place.state("config"), BUCKET)

    def test_one_that_holds_anything_is_refused_even_a_marker(self, place: Place) -> None:
        info = place.state("config")
        place.s3.create_bucket("other")
        place.s3.delete("other", "k")
        with pytest.raises(Refused, match="is not empty"):
            restore_to_bucket(place.s3, place.index, info, "other")
        assert place.s3.present("other") == {}

    def test_an_empty_one_is_taken(self, place: Place) -> None:
        info = place.state("config")
        place.s3.create_bucket("other")
        assert restore_to_bucket(place.s3, place.index, info, "other").objects == 1

    def test_what_did_not_arrive_whole_is_a_failure(self, place: Place) -> None:
        info = place.state("config", "keys/k")
        place.s3.wrong["config"] = b"short"
        result = restore_to_bucket(place.s3, place.index, info, "new")
        assert result.failures == [("config", "5 bytes arrived of 6")]
        assert (result.objects, result.bytes) == (1, len("keys/k"))

    def test_a_version_that_is_gone_is_a_failure_once(self, place: Place) -> None:
        info = place.state("config", "keys/k")
        place.s3.remove(BUCKET, "config", place.s3.present(BUCKET)["config"])
        result = restore_to_bucket(place.s3, place.index, info, "new")
        assert [key for key, _ in result.failures] == ["config"]
        assert result.objects == 1
