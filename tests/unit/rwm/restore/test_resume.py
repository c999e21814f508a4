"""A restore that is interrupted at any step and called again gives exactly the state, and reads nothing twice."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rwm.errors import LockHeld, Refused, RwmError
from rwm.model import StateInfo
from rwm.restore import StatePart, restore_to_directory
from rwm.restore.directory import HIDDEN, PARTIAL
from rwm.restore.private_directory import open_private
from tests.unit.rwm.restore.restore_setup import BUCKET, HOSTILE, RestoreSetup

PACKS = [b"first", b"second", b"third"]


def pack_key(body: bytes) -> str:
    name = hashlib.sha256(body).hexdigest()
    return f"data/{name[:2]}/{name}"


def repository(setup: RestoreSetup, *more: str) -> tuple[StateInfo, dict[str, bytes]]:
    """A state with three packs, a config and keys of these names, and its content by key."""
    for body in PACKS:
        setup.s3.put(BUCKET, pack_key(body), body)
    info = setup.capture("config", *more)
    content = {pack_key(body): body for body in PACKS} | {key: key.encode() for key in ("config", *more)}
    return info, content


class Killed(BaseException):
    """What a SIGKILL is to a test: nothing of the restore's own runs after it."""


def kill_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """End a restore, without its clean-up, before its step of that number: a call that changes the directory."""
    left = [step]

    def counted(call: Callable[..., object]) -> Callable[..., object]:
        def wrapper(*args: object, **kwargs: object) -> object:
            if left[0] <= 0:
                raise Killed
            left[0] -= 1
            return call(*args, **kwargs)

        return wrapper

    for name in ("mkdir", "link", "unlink", "rename", "utime", "rmdir"):
        monkeypatch.setattr(os, name, counted(getattr(os, name)))


@settings(max_examples=25)
@given(step=st.integers(0, 60), again=st.integers(0, 60))
def test_interrupted_at_any_steps_and_called_again(
    tmp_path_factory: pytest.TempPathFactory, step: int, again: int
) -> None:
    setup = RestoreSetup(tmp_path_factory.mktemp("restore"))
    info, content = repository(setup, "a/b", "..")
    for number in (step, again):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("rwm.restore.transfer.THREADS", 1)
            kill_at(number, patch)
            with contextlib.suppress(Killed):
                setup.restore(info)
    result = setup.restore(info)
    setup.index.close()
    assert (result.objects, result.bytes, result.failures) == (len(content), info.bytes, [])
    hidden = content.pop("..")
    found = setup.files()
    assert found.pop(f"{HIDDEN}/{hashlib.sha256(b'..').hexdigest()}") == hidden
    del found[f"{HIDDEN}/keys.jsonl"]
    assert found == content
    assert not (setup.target / PARTIAL).exists()


def test_what_proves_itself_is_not_read_again(setup: RestoreSetup) -> None:
    info, content = repository(setup)
    setup.restore(info)
    read = setup.fail_reads({})
    result = setup.restore(info)
    assert read == ["config"], "the ETag of the server in memory is no MD5 sum"
    assert (result.objects, result.kept) == (len(content), len(PACKS))
    assert setup.files() == content


def test_an_etag_that_is_an_md5_sum_proves_content_too(setup: RestoreSetup) -> None:
    setup.s3.put(BUCKET, "config", b"config")
    history = setup.s3.buckets[BUCKET]["config"]
    history[0] = history[0]._replace(etag=hashlib.md5(b"config").hexdigest())
    info = setup.capture()
    setup.target.mkdir()
    (setup.target / "config").write_bytes(b"config")
    read = setup.fail_reads({})
    assert setup.restore(info).kept == 1
    assert read == []


@pytest.mark.parametrize("found", [b"", b"fir", b"evil!", b"far too long"])
def test_a_file_that_does_not_match_its_name_is_replaced(setup: RestoreSetup, found: bytes) -> None:
    info, content = repository(setup)
    path = setup.target / pack_key(b"first")
    path.parent.mkdir(parents=True)
    path.write_bytes(found)
    assert setup.restore(info).failures == []
    assert setup.files() == content


@pytest.mark.parametrize("found", [b"", b"conf"])
def test_the_beginning_of_another_file_is_replaced(setup: RestoreSetup, found: bytes) -> None:
    """An interrupted write leaves it."""
    info, content = repository(setup)
    setup.target.mkdir()
    (setup.target / "config").write_bytes(found)
    assert setup.restore(info).failures == []
    assert setup.files() == content


def test_another_file_with_other_content_is_left_as_it_is(setup: RestoreSetup) -> None:
    info, content = repository(setup)
    setup.target.mkdir()
    (setup.target / "config").write_bytes(b"c0nfig")
    assert [key for key, _ in setup.restore(info).failures] == ["config"]
    assert setup.files() == content | {"config": b"c0nfig"}


def test_a_new_filesystem_is_accepted(setup: RestoreSetup) -> None:
    info, content = repository(setup)
    (setup.target / "lost+found").mkdir(parents=True)
    (setup.target / "lost+found" / "#12").write_bytes(b"x")
    setup.restore(info)
    assert setup.files() == content | {"lost+found/#12": b"x"}


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("notes", "'notes' is not of the state"),
        ("data/00/notes", "'data/00' is not of the state"),
        (f"{pack_key(b'first')[:8]}notes", "notes' is not of the state"),
        (f"{PARTIAL}/notes", "/notes' is not of the state"),
        ("lost+found", "'lost+found' is not of the state"),
        ("config", "'config' is larger than in the state"),
    ],
)
def test_anything_else_is_refused_and_nothing_is_changed(setup: RestoreSetup, path: str, why: str) -> None:
    info, _ = repository(setup)
    (setup.target / path).parent.mkdir(parents=True)
    (setup.target / path).write_bytes(b"longer than config")
    with pytest.raises(Refused, match="is not empty") as error:
        setup.restore(info)
    assert why in error.value.message
    assert setup.files() == {path: b"longer than config"}


@pytest.mark.parametrize("path", ["data/lost+found", f"{PARTIAL}/lost+found"])
def test_a_directory_of_a_new_filesystem_is_in_its_root_only(setup: RestoreSetup, path: str) -> None:
    info, _ = repository(setup)
    (setup.target / path).mkdir(parents=True)
    with pytest.raises(Refused, match="lost\\+found' is not of the state"):
        setup.restore(info)


def test_at_most_three_are_named(setup: RestoreSetup) -> None:
    info, _ = repository(setup)
    setup.target.mkdir()
    for name in "abcd":
        (setup.target / name).touch()
    with pytest.raises(Refused) as error:
        setup.restore(info)
    assert error.value.message.count("is not of the state") == 3
    assert error.value.message.endswith(", …")


class TestPreparedByAnAttacker:
    @pytest.mark.parametrize("path", ["config", "data", pack_key(b"first")[:7], pack_key(b"first"), PARTIAL, HIDDEN])
    def test_a_symbolic_link_is_refused(self, setup: RestoreSetup, path: str) -> None:
        info, _ = repository(setup, "..")
        victim = setup.directory / "victim"
        victim.mkdir(mode=0o700)
        (victim / "config").write_bytes(b"precious")
        (setup.target / path).parent.mkdir(parents=True)
        (setup.target / path).symlink_to(victim / "config" if path.endswith("config") else victim)
        with pytest.raises(Refused):
            setup.restore(info)
        assert setup.files(victim) == {"config": b"precious"}

    def test_a_symbolic_link_that_comes_later_is_not_followed(
        self, setup: RestoreSetup, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        info, content = repository(setup)
        victim = setup.directory / "victim"
        victim.mkdir()

        def link_and_list(*_: object) -> Iterator[object]:
            (setup.target / "data").symlink_to(victim)
            return iter(())

        monkeypatch.setattr("rwm.restore.directory.find_foreign", link_and_list)
        assert len(setup.restore(info).failures) == len(PACKS)
        assert setup.files(victim) == {}
        assert (setup.target / "config").read_bytes() == content["config"]

    def test_a_hard_link_is_not_written_through(self, setup: RestoreSetup) -> None:
        info, content = repository(setup)
        precious = setup.directory / "precious"
        precious.write_bytes(b"conf")
        setup.target.mkdir()
        os.link(precious, setup.target / "config")
        setup.restore(info)
        assert setup.files() == content
        assert precious.read_bytes() == b"conf"

    @pytest.mark.parametrize("path", ["data", "config"])
    def test_what_others_may_write_to_is_refused(self, setup: RestoreSetup, path: str) -> None:
        info, _ = repository(setup)
        setup.target.mkdir()
        (setup.target / "data").mkdir()
        (setup.target / "config").touch()
        (setup.target / path).chmod(0o777)
        with pytest.raises(Refused, match=f"'{path}' can be written to by others"):
            setup.restore(info)

    def test_a_pipe_is_refused_and_not_opened(self, setup: RestoreSetup) -> None:
        info, _ = repository(setup)
        setup.target.mkdir()
        os.mkfifo(setup.target / "config")
        with pytest.raises(Refused, match="'config' is no regular file"):
            setup.restore(info)


def test_two_restores_at_once_are_refused(setup: RestoreSetup) -> None:
    info, _ = repository(setup)
    with open_private(setup.target), pytest.raises(LockHeld):
        setup.restore(info)


def test_a_full_disk_keeps_what_is_done(setup: RestoreSetup, monkeypatch: pytest.MonkeyPatch) -> None:
    info, content = repository(setup)
    monkeypatch.setattr("rwm.restore.transfer.THREADS", 1)
    link = os.link
    placed: list[object] = []

    def full(*args: object, **kwargs: object) -> None:
        if len(placed) == 2:
            raise OSError(28, "No space left on device")
        placed.append(args)
        link(*args, **kwargs)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", full)
        with pytest.raises(RwmError, match="No space left on device; restored: 2 objects") as error:
            setup.restore(info)
    assert "run the same command again" in error.value.hint
    assert len(setup.files()) == 2
    assert setup.restore(info).kept >= 1
    assert setup.files() == content


def test_a_filesystem_without_hard_links_is_accepted(setup: RestoreSetup, monkeypatch: pytest.MonkeyPatch) -> None:
    info, content = repository(setup)

    def unsupported(*_: object, **__: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", unsupported)
    setup.restore(info)
    assert setup.files() == content


def test_incomplete_files_of_an_earlier_run_are_removed(setup: RestoreSetup) -> None:
    info, content = repository(setup)
    (setup.target / PARTIAL).mkdir(parents=True)
    (setup.target / PARTIAL / ("0" * 64)).write_bytes(b"x")
    setup.restore(info)
    assert setup.files() == content
    assert sorted(path.name for path in setup.target.iterdir()) == ["config", "data"]


def test_all_hostile_keys_are_kept(setup: RestoreSetup) -> None:
    part = StatePart(setup.index, setup.capture(*HOSTILE))
    restore_to_directory(setup.s3, part, setup.target)
    before = setup.files()
    assert restore_to_directory(setup.s3, part, setup.target).failures == []
    assert setup.files() == before


def test_content_is_compared_with_the_etag(setup: RestoreSetup) -> None:
    """The etag goes to the adapter, which compares where it is an MD5 sum; names that are hashes need none."""
    info, _ = repository(setup)
    asked: dict[str, str | None] = {}
    stream = setup.s3.stream

    def observed(bucket: str, key: str, version_id: str | None = None, etag: str | None = None) -> Iterator[bytes]:
        asked[key] = etag
        return stream(bucket, key, version_id, etag)

    setup.s3.stream = observed  # type: ignore[method-assign]
    setup.restore(info)
    assert asked.pop("config")
    assert set(asked.values()) == {None}


def test_a_key_of_very_many_directories(setup: RestoreSetup) -> None:
    """A key has up to 1,024 bytes."""
    info = setup.capture("a/" * 200 + "x")
    assert setup.restore(info).failures == []
    result = setup.restore(info)
    assert (result.objects, result.failures) == (1, [])


def test_a_disk_that_is_full_from_the_start_is_one_error(setup: RestoreSetup, monkeypatch: pytest.MonkeyPatch) -> None:
    info, _ = repository(setup)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    setup.target.mkdir()
    monkeypatch.setattr(os, "mkdir", full)
    with pytest.raises(RwmError, match=f"directory {setup.target}: No space left on device") as error:
        setup.restore(info)
    assert "run the same command again" in error.value.hint
