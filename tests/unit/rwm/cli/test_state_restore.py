"""``rwm state restore``."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from rwm.errors import Archived
from rwm.location import Location
from rwm.rollback import hold_target
from tests.unit.memory import MemoryS3
from tests.unit.terminal import Terminal


def test_restore_reports_restored_and_failed_objects(rwm_: Terminal, s3: MemoryS3) -> None:
    s3.put("bucket1", "data/00/x", b"abc")
    rwm_("-c", "here.conf", "state", "capture", "bucket1")
    s3.wrong["config"] = b"!"
    restore = ("-c", "here.conf", "state", "restore", "latest", "-b", "bucket1", "--to-dir", "out")
    assert rwm_(*restore, "--json") == 3
    document = json.loads(rwm_.out)
    assert (document["objects"], document["bytes"]) == (1, 3)
    assert [failure["key"] for failure in document["failures"]] == ["config"]
    assert "warning: config is not restored" in rwm_.err
    del s3.wrong["config"]
    assert rwm_(*restore) == 0, "the same command goes on"
    assert rwm_.out == "restored 2 objects, 5 B, to out\n"
    (rwm_.directory / "out" / "notes").touch()
    assert rwm_(*restore) == 5
    assert "'notes' is not of the state" in rwm_.err


def test_restore_to_a_bucket_or_a_directory(rwm_: Terminal, s3: MemoryS3) -> None:
    s3.put("bucket1", "..", b"x")
    rwm_("-c", "here.conf", "state", "capture", "bucket1")
    restore = ("-c", "here.conf", "state", "restore", "latest", "-b", "bucket1")
    assert rwm_(*restore, "--to-bucket", "new") == 0
    assert rwm_.out == "restored 2 objects, 3 B, to bucket new\n"
    assert s3.present("new").keys() == {"config", ".."}
    assert rwm_(*restore, "--to-dir", "out") == 0
    assert "without a path: 1 key, in " in rwm_.err
    assert (rwm_.directory / "out" / "config").read_bytes() == b"{}"


def test_a_second_restore_to_the_same_place_would_abort_the_uploads_of_the_first(rwm_: Terminal, s3: MemoryS3) -> None:
    rwm_("-c", "here.conf", "state", "capture", "bucket1")
    restore = ("-c", "here.conf", "state", "restore", "latest", "-b", "bucket1", "--to-bucket")
    with hold_target(rwm_.directory / "here.sqlite", Location("new", "host1/")):
        assert rwm_(*restore, "new/host1") == 7
        assert "another restore changes new/host1" in rwm_.err
        assert rwm_(*restore, "new/host2") == 0, "another place"
    assert rwm_(*restore, "new/host1") == 0


def test_an_empty_directory_name_is_refused(rwm_: Terminal, s3: MemoryS3) -> None:
    """It may be that of a variable that is not set."""
    rwm_("-c", "here.conf", "state", "capture", "bucket1")
    before = sorted(rwm_.directory.iterdir())
    assert rwm_("-c", "here.conf", "state", "restore", "latest", "-b", "bucket1", "--to-dir", "") == 2
    assert "an empty name is no directory" in rwm_.err
    assert sorted(rwm_.directory.iterdir()) == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_it_and_the_same_command_goes_on(
    rwm_: Terminal, s3: MemoryS3, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    for name in "abc":
        s3.put("bucket1", f"data/{name}", name.encode())
    rwm_("-c", "here.conf", "state", "capture", "bucket1")
    handler, stream = signal.getsignal(number), s3.stream

    def signalled(bucket: str, key: str, *rest: Any) -> Iterator[bytes]:
        if key == "data/b":
            os.kill(os.getpid(), number)
        yield from stream(bucket, key, *rest)

    monkeypatch.setattr("rwm.restore.transfer.THREADS", 1)
    restore = ("-c", "here.conf", "state", "restore", "latest", "-b", "bucket1", "--to-dir", "out")
    with monkeypatch.context() as patch:
        patch.setattr(s3, "stream", signalled)
        assert rwm_(*restore) == 130
    assert rwm_.err.splitlines() == ["the same command goes on where this one was interrupted", "", "rwm: interrupted"]
    assert not (rwm_.directory / "out" / ".rwm-partial").exists()
    assert signal.getsignal(number) == handler
    assert rwm_(*restore) == 0


def test_restore_says_first_what_is_archived(rwm_: Terminal, s3: MemoryS3) -> None:
    s3.put("bucket1", "data/00/x", b"abc")
    s3.archive("bucket1", "data/00/x")
    rwm_("-c", "here.conf", "state", "capture", "bucket1")
    restore = ("-c", "here.conf", "state", "restore", "latest", "-b", "bucket1", "--to-dir", "out")
    assert rwm_(*restore) == 0, "it may have been retrieved, which no listing says"
    assert "1 object, 3 B, is archived (GLACIER 1), as of the listing at " in rwm_.err


def test_objects_that_are_still_archived_have_a_hint(
    rwm_: Terminal, s3: MemoryS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stream(*_: object) -> Iterator[bytes]:
        raise Archived("GetObject config: InvalidObjectState (HTTP 403)")

    rwm_("-c", "here.conf", "state", "capture", "bucket1")
    monkeypatch.setattr(s3, "stream", stream)
    assert rwm_("-c", "here.conf", "state", "restore", "latest", "-b", "bucket1", "--to-dir", "out") == 3
    assert "config is not restored: GetObject config: InvalidObjectState" in rwm_.err
    assert "--archived` lists what must be retrieved first" in rwm_.err


def test_the_repository_below_a_prefix_is_restored_at_the_root(rwm_: Terminal, s3: MemoryS3) -> None:
    s3.put("bucket1", "host1/config", b"abc")
    rwm_("-c", "here.conf", "state", "capture", "bucket1")
    restore = ("-c", "here.conf", "state", "restore", "latest", "-b", "bucket1/host1")
    assert rwm_(*restore, "--to-dir", "out", "--json") == 0
    document = json.loads(rwm_.out)
    assert (document["bucket"], document["prefix"], document["objects"]) == ("bucket1", "host1/", 1)
    assert (rwm_.directory / "out" / "config").read_bytes() == b"abc"
    assert rwm_(*restore, "--to-bucket", "other/copy") == 0
    assert rwm_.out == "restored 1 object, 3 B, to bucket other/copy\n"
    assert "`rwm -c here.conf storage check other` shows whether bucket other is protected" in rwm_.err
    assert s3.present("other").keys() == {"copy/config"}


@pytest.mark.parametrize(
    ("options", "code", "reason"),
    [
        (("-b", "bucket1/host3", "--to-dir", "out"), 1, "has nothing below bucket1/host3"),
        (
            ("-b", "bucket1/host1/data", "--to-dir", "out"),
            2,
            "is a directory of the repository at bucket1/host1",
        ),
        (("-b", "bucket1", "--to-bucket", "bucket1/copy"), 2, "bucket1/copy is inside bucket1"),
        (("-b", "bucket1/host1", "--to-bucket", "bucket1//x"), 2, "'bucket1//x' is no location"),
        (("-b", "bucket1/host1", "--to-bucket", "bucket1/host2"), 5, "bucket1/host2 is not empty"),
    ],
)
def test_a_wrong_location_is_one_line(
    rwm_: Terminal, s3: MemoryS3, options: tuple[str, ...], code: int, reason: str
) -> None:
    for name in ("config", "data/00/a", "keys/k"):
        s3.put("bucket1", f"host1/{name}", b"abc")
    s3.put("bucket1", "host2/x", b"")
    rwm_("-c", "here.conf", "state", "capture", "bucket1")
    assert rwm_("-c", "here.conf", "state", "restore", "latest", *options) == code
    assert reason in rwm_.err
    assert len(rwm_.err.splitlines()) <= 2, "a line and a hint"
    assert not (rwm_.directory / "out").exists()


def test_a_state_of_the_copies_is_captured_if_anything_was_copied(
    rwm_: Terminal, s3: MemoryS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rwm.storage.ensure_storage", lambda *_: [])
    rwm_("-c", "here.conf", "state", "capture", "bucket1")
    restore = ("-c", "here.conf", "state", "restore", "latest", "-b", "bucket1", "--to-bucket", "copy")
    captured = []
    for _ in range(2):
        assert rwm_(*restore, "--create-for", "user1", "--json") == 0
        captured.append(json.loads(rwm_.out)["captured"])
    assert captured[0] == captured[1]
    s3.buckets["copy"].pop("config")
    assert rwm_(*restore, "--create-for", "user1", "--json") == 0
    assert json.loads(rwm_.out)["captured"] not in captured


@pytest.mark.usefixtures("s3")
def test_create_for_needs_a_bucket(rwm_: Terminal) -> None:
    rwm_("-c", "here.conf", "state", "capture", "bucket1")
    restore = ("-c", "here.conf", "state", "restore", "latest", "-b", "bucket1")
    assert rwm_(*restore, "--to-dir", "out", "--create-for", "user1") == 2
    assert "--create-for belongs to --to-bucket" in rwm_.err
    assert rwm_(*restore, "--to-bucket", "bucket1/copy", "--create-for", "user1") == 2
    assert "bucket1/copy is inside bucket1" in rwm_.err


def test_what_is_kept_and_what_is_foreign_is_said(
    rwm_: Terminal, s3: MemoryS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    rwm_("-c", "here.conf", "state", "capture", "bucket1")
    restore = ("-c", "here.conf", "state", "restore", "latest", "-b", "bucket1", "--to-bucket", "new")
    assert rwm_(*restore) == 0
    assert rwm_(*restore) == 0
    assert rwm_.out == "restored 1 object, 2 B, to bucket new (1 of them kept from an earlier run)\n"
    s3.buckets["new"].pop("config")
    copy = s3.copy

    def beside(*args: object, **kwargs: object) -> None:
        copy(*args, **kwargs)  # type: ignore[arg-type]
        s3.put("new", "notes", b"")

    monkeypatch.setattr(s3, "copy", beside)
    assert rwm_(*restore, "--json") == 4
    assert json.loads(rwm_.out)["foreign"] == ["notes"]
    assert "somebody wrote 1 other object to the target, 'notes'" in rwm_.err
