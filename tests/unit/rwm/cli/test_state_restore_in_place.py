"""``rwm state restore --in-place`` and ``--undo``: what is printed, asked, refused, and the exit codes."""

from __future__ import annotations

import gzip
import json
import os
import signal
from collections.abc import Callable, Sequence
from typing import Any, NoReturn
from unittest.mock import Mock

import pytest

from rwm.cli import state_restore_in_place as command
from rwm.errors import Unreachable
from rwm.index import Index
from rwm.model import PartVerdict
from rwm.rollback import hold_bucket
from rwm.s3 import DeleteFailure
from rwm.storage.policy import protected_policy
from rwm.storage.users import UserAccess
from tests.unit.conftest import FillDisk
from tests.unit.memory import MemoryS3
from tests.unit.terminal import Terminal

USER, ADMIN = "arn:aws:iam:::user/user1", "arn:aws:iam:::user/admin"
RESTORE = ("-c", "here.conf", "state", "restore")
IN_PLACE = (*RESTORE, "latest", "-b", "bucket1", "--in-place")


@pytest.fixture
def attacked(rwm_: Terminal, s3: MemoryS3) -> MemoryS3:
    """A bucket with a state, which was attacked since; its policy names nobody."""
    s3.account = s3.owner
    s3.put("bucket1", "data/1", b"good")
    s3.put("bucket1", "data/2", b"good")
    rwm_("-c", "here.conf", "state", "capture", "bucket1")
    s3.now += 5000
    s3.put("bucket1", "data/1", b"bad")
    s3.delete("bucket1", "data/2")
    s3.put("bucket1", "new", b"bad")
    return s3


def test_the_plan_is_printed_and_asked_first(rwm_: Terminal, attacked: MemoryS3) -> None:
    before = attacked.present("bucket1")
    assert rwm_(*IN_PLACE, "--dry-run") == 0
    rows = [" ".join(line.split()) for line in rwm_.out.splitlines()]
    assert rwm_.out.startswith("plan to make bucket1 state ")
    assert "copy older versions over current ones 1 4 B" in rows
    assert {"remove delete markers 1", "put delete markers on what was added since 1", "requests 3"} <= set(rows)
    assert rwm_(*IN_PLACE) == 2
    assert "no terminal to ask for confirmation: Change bucket1 in 3 places?" in rwm_.err
    assert attacked.present("bucket1") == before
    assert not (rwm_.directory / "undo").exists()


def test_it_is_rolled_back_and_undone(rwm_: Terminal, attacked: MemoryS3) -> None:
    before = contents(attacked)
    assert rwm_(*IN_PLACE, "--yes", "--undo-file", "undo.gz", "--note", "a reason") == 0
    assert "bucket1: 1 copied, 4 B, 1 delete markers removed, 1 put" in rwm_.out
    assert "is captured and equals state " in rwm_.out
    assert "to undo it: `rwm -c here.conf state restore --undo undo.gz`" in rwm_.out
    assert contents(attacked) == {"config": b"{}", "data/1": b"good", "data/2": b"good"}
    assert rwm_(*RESTORE, "latest", "-b", "bucket1", "--in-place") == 0
    assert rwm_.out.endswith("bucket1 needs no change\n")
    assert rwm_(*RESTORE, "--undo", "undo.gz", "--yes", "--json") == 0
    document = json.loads(rwm_.out)
    assert (document["kind"], document["left"], document["captured"]) == ("undo", 0, None)
    assert contents(attacked) == before
    assert rwm_(*RESTORE, "--undo", document["undo_file"], "--yes") == 0
    assert contents(attacked) == {"config": b"{}", "data/1": b"good", "data/2": b"good"}


def contents(s3: MemoryS3) -> dict[str, bytes]:
    present = s3.present("bucket1").items()
    return {key: s3.bodies[version] for key, version in present if not key.startswith("rwm/")}


def test_an_undelete_that_leaves_what_was_added_does_not_equal_the_state(rwm_: Terminal, s3: MemoryS3) -> None:
    s3.account = s3.owner
    s3.put("bucket1", "data/1", b"good")
    rwm_("-c", "here.conf", "state", "capture", "bucket1")
    s3.now += 5000
    s3.delete("bucket1", "data/1")
    s3.put("bucket1", "new", b"bad")
    assert rwm_(*IN_PLACE, "--undelete", "--dry-run", "--json") == 0
    assert json.loads(rwm_.out)["added"] == 1
    assert rwm_(*IN_PLACE, "--undelete", "--yes", "--undo-file", "undo.gz") == 0
    rows = [" ".join(line.split()) for line in rwm_.out.splitlines()]
    assert "were added since, and stay 1" in rows
    assert "captured state " in rwm_.out and "equals" not in rwm_.out
    assert rwm_(*RESTORE, "--undo", "undo.gz", "--dry-run") == 0
    assert "put delete markers 1" in [" ".join(line.split()) for line in rwm_.out.splitlines()]


def test_it_is_refused_while_a_machine_can_write(rwm_: Terminal, attacked: MemoryS3) -> None:
    attacked.put_policy("bucket1", protected_policy("bucket1", ADMIN, [UserAccess(USER)]))
    assert rwm_(*IN_PLACE, "--yes") == 5
    assert f"{USER} may still write at bucket1, and would interfere" in rwm_.err
    assert "`rwm -c here.conf storage freeze bucket1`" in rwm_.err
    assert attacked.present("bucket1")["new"]
    assert rwm_(*IN_PLACE, "--dry-run") == 0
    assert rwm_(*IN_PLACE, "--yes", "--force") == 0
    assert f"warning: {USER} may still write" in rwm_.err


def test_a_state_that_an_audit_found_suspect_is_named(rwm_: Terminal, attacked: MemoryS3) -> None:
    with Index.open(rwm_.directory / "here.sqlite") as index:
        (info,) = index.states()
        index.audits.record(info.location, {info.id: [PartVerdict("", "suspect", info.captured_at)]})
    assert rwm_(*IN_PLACE, "--dry-run") == 0
    assert f"state {info.id[:12]} is suspect by the audit of " in rwm_.err


def test_without_a_policy_it_warns_and_looks_at_each_key_before_its_change(
    rwm_: Terminal, attacked: MemoryS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert rwm_(*IN_PLACE, "--dry-run") == 0
    assert "whether a machine can write at bucket1 is not known" in rwm_.err
    looked = Mock(wraps=attacked.newest)
    monkeypatch.setattr(attacked, "newest", looked)
    assert rwm_(*IN_PLACE, "--yes") == 0
    assert sorted(call.args[1] for call in looked.call_args_list) == ["data/1", "new"]


def test_what_cannot_be_done_is_named_and_the_exit_code_is_3(rwm_: Terminal, attacked: MemoryS3) -> None:
    attacked.buckets["bucket1"].pop("data/1")
    assert rwm_(*IN_PLACE, "--yes") == 3
    assert "cannot be done: the version is gone" in rwm_.out
    assert "warning: data/1 cannot be brought back: the version is gone" in rwm_.err
    assert "1 key of bucket1 cannot be made state " in rwm_.err
    assert "captured state " in rwm_.out
    assert "equals" not in rwm_.out
    assert rwm_(*IN_PLACE[:-1], "--undelete", "--json", "--dry-run") == 0
    assert json.loads(rwm_.out)["problems"] == {}


def test_what_failed_is_named_and_the_exit_code_is_3(rwm_: Terminal, attacked: MemoryS3) -> None:
    attacked.stuck["new", ""] = "InternalError"
    assert rwm_(*IN_PLACE, "--yes") == 3
    assert "warning: new is not changed: InternalError" in rwm_.err
    assert "1 of 3 changes failed" in rwm_.err
    del attacked.stuck["new", ""]
    assert rwm_(*IN_PLACE, "--yes") == 0, "the same command does what is left"


def test_what_came_of_it_is_not_known_where_nothing_can_be_listed(
    rwm_: Terminal, attacked: MemoryS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    def capture_state(*_: object, **__: object) -> NoReturn:
        raise Unreachable("ListObjectVersions bucket1: no usable answer")

    monkeypatch.setattr("rwm.states.capture_state", capture_state)
    assert rwm_(*IN_PLACE, "--yes", "--json") == 3
    assert "what came of it is not known: ListObjectVersions bucket1: no usable answer" in rwm_.err
    found = json.loads(rwm_.out)
    assert (found["left"], found["hidden"], found["captured"]) == (None, None, None)
    assert found["copied"] == 1
    assert rwm_(*IN_PLACE, "--yes", "--json") == 0, "nothing has to be changed any more"
    assert (json.loads(rwm_.out)["left"], json.loads(rwm_.out)["hidden"]) == (0, [])


def test_a_writer_meanwhile_is_noticed(rwm_: Terminal, attacked: MemoryS3, monkeypatch: pytest.MonkeyPatch) -> None:
    put_markers = attacked.put_markers

    def put_and_write(bucket: str, keys: Sequence[str]) -> tuple[dict[str, str], list[DeleteFailure]]:
        result = put_markers(bucket, keys)
        attacked.put(bucket, "data/1", b"by a machine")
        return result

    monkeypatch.setattr(attacked, "put_markers", put_and_write)
    assert rwm_(*IN_PLACE, "--yes") == 4
    assert "1 key of bucket1 differs again: somebody writes there" in rwm_.err
    assert contents(attacked)["data/1"] == b"by a machine"


def test_what_a_writer_wrote_before_the_change_is_named(
    rwm_: Terminal, attacked: MemoryS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    attacked.put_policy("bucket1", protected_policy("bucket1", ADMIN, []))
    copy_back = attacked.copy_back

    def write_and_copy(bucket: str, key: str, *rest: Any, **options: Any) -> str:
        attacked.put(bucket, key, b"by a machine")
        return copy_back(bucket, key, *rest, **options)

    monkeypatch.setattr(attacked, "copy_back", write_and_copy)
    assert rwm_(*IN_PLACE, "--yes", "--json") == 4
    (hidden,) = json.loads(rwm_.out)["hidden"]
    assert attacked.bodies[hidden["version_id"]] == b"by a machine"
    assert f"data/1 was written meanwhile: its noncurrent version {hidden['version_id']} keeps it" in rwm_.err
    assert "1 version that somebody wrote meanwhile at bucket1 is hidden now" in rwm_.err


def test_beside_a_writer_what_was_written_is_left_alone(
    rwm_: Terminal, attacked: MemoryS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    attacked.put_policy("bucket1", protected_policy("bucket1", ADMIN, [UserAccess(USER)]))
    newest = attacked.newest

    def write_and_look(bucket: str, key: str) -> object:
        attacked.put(bucket, key, b"by a machine")
        return newest(bucket, key)

    monkeypatch.setattr(attacked, "newest", write_and_look)
    assert rwm_(*IN_PLACE, "--yes", "--force") == 3
    assert "data/1 is not changed: it was written since the plan was made" in rwm_.err
    assert contents(attacked)["data/1"] == contents(attacked)["new"] == b"by a machine"


def test_a_signal_ends_it_and_the_same_command_goes_on(
    rwm_: Terminal, attacked: MemoryS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_back = attacked.copy_back

    def signalled(*arguments: Any) -> str:
        os.kill(os.getpid(), signal.SIGTERM)
        return copy_back(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(attacked, "copy_back", signalled)
        assert rwm_(*IN_PLACE, "--yes") == 130
    assert "the same command goes on" in rwm_.err
    assert rwm_(*IN_PLACE, "--yes") == 0
    assert "was interrupted: this goes on" in rwm_.err
    assert contents(attacked) == {"config": b"{}", "data/1": b"good", "data/2": b"good"}


def test_on_a_full_disk_nothing_is_half_done_that_the_next_run_cannot_finish(
    rwm_: Terminal, attacked: MemoryS3, fill_disk: FillDisk
) -> None:
    good = {"config": b"{}", "data/1": b"good", "data/2": b"good"}
    codes = []
    for left in range(20):
        fill_disk(left)
        codes.append(rwm_(*IN_PLACE, "--yes"))
        assert codes[-1] in (0, 1, 3), rwm_.err
        if codes[-1]:
            assert "a temporary file cannot be written: No space left on device" in rwm_.err
            assert "set TMPDIR" in rwm_.err or "the same command" in rwm_.err
        fill_disk(1000)
        assert rwm_(*IN_PLACE, "--yes") == 0, rwm_.err
        assert contents(attacked) == good
        with Index.open(rwm_.directory / "here.sqlite", readonly=True) as index:
            assert all(each.ended_at for each in index.operations.recorded("bucket1"))
        if codes[-1] == 0:
            break
        attacked.put("bucket1", "data/1", b"bad")
        attacked.delete("bucket1", "data/2")
    assert codes[0] == 1
    assert 3 in codes, "the bucket was changed, but not captured"
    assert codes[-1] == 0
    for file in (rwm_.directory / "undo").iterdir():
        gzip.decompress(file.read_bytes())


def test_a_second_one_at_the_same_time_is_refused(rwm_: Terminal, attacked: MemoryS3) -> None:
    before = contents(attacked)
    with hold_bucket(rwm_.directory / "here.sqlite", "bucket1"):
        assert rwm_(*IN_PLACE, "--yes") == 7
        assert "another restore changes bucket bucket1" in rwm_.err
        assert rwm_(*IN_PLACE, "--dry-run") == 0
    assert contents(attacked) == before
    assert rwm_(*IN_PLACE, "--yes", "--undo-file", "undo.gz") == 0
    with hold_bucket(rwm_.directory / "here.sqlite", "bucket1"):
        assert rwm_(*RESTORE, "--undo", "undo.gz", "--yes") == 7


@pytest.mark.parametrize("key", ["a", "zz"])
def test_an_old_plan_is_made_again(
    rwm_: Terminal, attacked: MemoryS3, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    """The change of ``zz`` comes after all that were printed."""
    monkeypatch.setattr(command, "MAX_AGE", 0.0)
    act: Callable[[], object] = lambda: attacked.put("bucket1", key, b"meanwhile")  # noqa: E731
    monkeypatch.setattr("rwm.console.confirm", lambda *_, **__: act())
    assert rwm_(*IN_PLACE, "--yes") == 5
    assert "bucket1 was changed since the plan was printed" in rwm_.err
    assert contents(attacked)["new"] == b"bad"
    act = lambda: None  # noqa: E731
    assert rwm_(*IN_PLACE, "--yes") == 0


@pytest.mark.parametrize(
    "arguments",
    [
        (*IN_PLACE, "--to-dir", "out"),
        (*IN_PLACE, "--undelete", "--roll-back"),
        (*RESTORE, "--in-place"),
        (*RESTORE, "latest", "-b", "bucket1", "--to-dir", "out", "--yes"),
        (*RESTORE, "latest", "-b", "bucket1", "--undo", "undo.gz"),
        (*RESTORE, "--undo", "absent.gz"),
        (*RESTORE, "--to-dir", "out"),
    ],
)
def test_wrong_usage(rwm_: Terminal, attacked: MemoryS3, arguments: tuple[str, ...]) -> None:
    assert rwm_(*arguments) == 2
    assert contents(attacked)["new"] == b"bad"


class TestUndoFile:
    """What an undo file says is data: it is compared with the record in the bucket."""

    @pytest.fixture
    def lines(self, rwm_: Terminal, attacked: MemoryS3) -> list[bytes]:
        """The lines of the undo file of a roll back."""
        assert rwm_(*IN_PLACE, "--yes", "--undo-file", "undo.gz") == 0
        return gzip.decompress((rwm_.directory / "undo.gz").read_bytes()).splitlines(keepends=True)

    def refused(self, rwm_: Terminal, s3: MemoryS3, content: bytes) -> int:
        (rwm_.directory / "edited.gz").write_bytes(content)
        before = contents(s3)
        code = rwm_(*RESTORE, "--undo", "edited.gz", "--yes")
        assert contents(s3) == before
        assert len(rwm_.err.splitlines()) <= 2
        return code

    def test_twice_does_nothing_more(self, rwm_: Terminal, attacked: MemoryS3, lines: list[bytes]) -> None:
        assert rwm_(*RESTORE, "--undo", "undo.gz", "--yes") == 0
        before = attacked.counts("bucket1")
        assert rwm_(*RESTORE, "--undo", "undo.gz", "--yes") == 0
        assert rwm_.out.endswith("bucket1 needs no change\n")
        assert attacked.counts("bucket1") == before

    @pytest.mark.parametrize("left", [1, 20, -1, -40])
    def test_a_truncated_one(self, rwm_: Terminal, attacked: MemoryS3, lines: list[bytes], left: int) -> None:
        content = (rwm_.directory / "undo.gz").read_bytes()
        assert self.refused(rwm_, attacked, content[:left]) == 1
        assert "undo file edited.gz: " in rwm_.err

    def test_one_without_its_last_lines(self, rwm_: Terminal, attacked: MemoryS3, lines: list[bytes]) -> None:
        assert self.refused(rwm_, attacked, gzip.compress(b"".join(lines[:-1]))) == 5
        assert "undo file edited.gz differs from rwm/admin/operations/" in rwm_.err

    def test_an_edited_one(self, rwm_: Terminal, attacked: MemoryS3, lines: list[bytes]) -> None:
        poison = next(line for line in lines if b"copied" in line)
        edited = json.loads(poison)
        edited["before"] = attacked.put("bucket1", "data/1", b"poison")
        attacked.put("bucket1", "data/1", b"good")
        content = b"".join(lines).replace(poison, json.dumps(edited, separators=(",", ":")).encode() + b"\n")
        assert self.refused(rwm_, attacked, gzip.compress(content)) == 5
        assert "differs from rwm/admin/operations/" in rwm_.err

    def test_one_of_another_bucket(self, rwm_: Terminal, attacked: MemoryS3, lines: list[bytes]) -> None:
        attacked.buckets["bucket2"] = {}
        attacked.states["bucket2"] = "Enabled"
        attacked.put("bucket2", "new", b"x")
        content = b"".join(lines).replace(b'"bucket":"bucket1"', b'"bucket":"bucket2"')
        assert self.refused(rwm_, attacked, gzip.compress(content)) == 5
        assert "is of an operation whose begin is not recorded in bucket bucket2" in rwm_.err
        assert rwm_(*RESTORE, "--undo", "edited.gz", "--yes", "--force") == 3, "its versions are not there"
        assert attacked.present("bucket2").keys() == {"new"}

    def test_one_whose_record_was_pruned(self, rwm_: Terminal, attacked: MemoryS3, lines: list[bytes]) -> None:
        (record,) = (key for key in attacked.present("bucket1") if key.startswith("rwm/admin/operations/"))
        attacked.buckets["bucket1"][record].pop()
        assert rwm_(*RESTORE, "--undo", "undo.gz", "--yes") == 5
        assert "whose begin is not recorded" in rwm_.err
        assert rwm_(*RESTORE, "--undo", "undo.gz", "--yes", "--force") == 0
        assert contents(attacked)["new"] == b"bad"

    def test_a_record_of_something_else(self, rwm_: Terminal, attacked: MemoryS3, lines: list[bytes]) -> None:
        content = b"".join(lines).replace(b'"kind":"roll-back"', b'"kind":"prune"')
        assert self.refused(rwm_, attacked, gzip.compress(content)) == 5
        assert "a prune cannot be undone" in rwm_.err


def test_a_file_that_is_no_undo_file_is_refused(rwm_: Terminal, attacked: MemoryS3) -> None:
    (rwm_.directory / "undo.gz").write_bytes(b"{}\n")
    assert rwm_(*RESTORE, "--undo", "undo.gz") == 1
    assert "undo file undo.gz: " in rwm_.err
