"""All recorded states of a bucket as directories: names, forgotten states, attributes, and the cost in queries."""

from __future__ import annotations

import errno
import logging
import stat
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pyfuse3
import pytest
import trio

from rwm.errors import IndexDamaged, StateNotFound
from rwm.index import Index
from rwm.location import Location
from rwm.model import StateInfo
from rwmfs.fuse.attributes import IMMUTABLE_TIMEOUT, LIVE_TIMEOUT
from rwmfs.fuse.operations import Operations
from rwmfs.tree.all_states import CACHED_TREES, HIDDEN, HIDDEN_KEYS_SIZE, IDS, TIMES, AllStates, hidden_keys_text
from rwmfs.tree.contents import GeneratedFile, Symlink
from rwmfs.tree.inodes import InodeTree
from rwmfs.tree.locks_dir import LocksDirs
from tests.unit.fakes import FakeBucket, fake_reader
from tests.unit.kernel import CONTEXT, Kernel
from tests.unit.states import BUCKET, entry, listed, put, state

TIME = "1970-01-01T00:00:05Z"


# --- hidden keys -------------------------------------------------------------------------------------


def test_hidden_keys_are_sorted_one_per_line_with_control_characters_escaped() -> None:
    assert hidden_keys_text(["b//x", "a\nb/..", "\x1b[31m/.."], "f" * 64).decode() == "\\x1b[31m/..\na\\nb/..\nb//x\n"
    assert hidden_keys_text([], "f" * 64) == b""


def test_a_long_list_of_hidden_keys_is_cut_off_with_a_last_line_that_says_so() -> None:
    read = 0

    def keys() -> Iterator[str]:
        nonlocal read
        for read in range(10_000_000):
            yield f"{read:0500}//"

    text = hidden_keys_text(keys(), "f" * 64)
    assert HIDDEN_KEYS_SIZE <= len(text) < HIDDEN_KEYS_SIZE + 2000
    assert text.endswith(b"\n... and more: rwm state show --hidden ffffffffffff\n")
    assert read < 3000


# --- through the handlers ----------------------------------------------------------------------------


class MountOfAllStates:
    """Operations over an index that another connection writes to."""

    def __init__(self, path: Path, nursery: trio.Nursery, patch: pytest.MonkeyPatch) -> None:
        self.other = Index.open(path)
        self.index = Index.open(path, readonly=True)
        self.bucket = FakeBucket(lambda key: b"x")
        self.browse = AllStates(self.index, Location(BUCKET), refresh_interval=0)
        self.locks_dirs = LocksDirs(max_bytes=100, max_files=5)
        reader = fake_reader(self.bucket, nursery)
        self.ops = Operations(InodeTree(self.browse), self.locks_dirs, reader)
        self.kernel = Kernel(self.ops, patch)

    def put(self, second: int, **contents: str) -> StateInfo:
        return put(self.other, second, contents)


Test = Callable[[MountOfAllStates], Coroutine[Any, Any, None]]


@pytest.fixture
def browsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Test], None]:
    """Run a test with its own MountOfAllStates."""

    def run(test: Test) -> None:
        async def main() -> None:
            async with trio.open_nursery() as nursery:
                fs = MountOfAllStates(tmp_path / "index.sqlite", nursery, monkeypatch)
                with fs.other, fs.index:
                    await test(fs)

        trio.run(main)

    return run


async def fails(code: int, call: Awaitable[object]) -> None:
    with pytest.raises((OSError, pyfuse3.FUSEError)) as caught:
        await call
    error = caught.value
    assert isinstance(error, OSError | pyfuse3.FUSEError)
    assert errno.errorcode[error.errno or 0] == errno.errorcode[code]


def test_recorded_states_appear_and_forgotten_ones_disappear(browsed: Callable[[Test], None]) -> None:
    async def test(fs: MountOfAllStates) -> None:
        assert await fs.kernel.names("") == [".rwm", "ids", "times"]
        one = fs.put(5, config="v1")
        two = fs.put(7, config="v1", a="v1")
        assert await fs.kernel.names("") == [".rwm", "ids", "latest", "times"]
        assert await fs.kernel.names("ids") == sorted([one.id, two.id])
        assert await fs.kernel.names("times") == [TIME, "1970-01-01T00:00:07Z"]
        assert await fs.kernel.readlink("latest") == f"ids/{two.id}"
        assert await fs.kernel.readlink(f"times/{TIME}") == f"../ids/{one.id}"
        assert await fs.kernel.names(f"ids/{two.id}") == ["locks", "a", "config"]
        fs.other.forget([two])
        assert await fs.kernel.names("ids") == [one.id]
        assert await fs.kernel.names("times") == [TIME]
        assert await fs.kernel.names(".rwm/hidden") == [one.id]
        assert await fs.kernel.readlink("latest") == f"ids/{one.id}"
        fs.other.forget([one])
        assert await fs.kernel.names("") == [".rwm", "ids", "times"]
        await fails(errno.ENOENT, fs.kernel.lookup("latest"))

    browsed(test)


def test_states_of_other_buckets_are_absent(browsed: Callable[[Test], None]) -> None:
    async def test(fs: MountOfAllStates) -> None:
        put(fs.other, 5, {"config": "v1"}, bucket="another")
        assert await fs.kernel.names("ids") == []
        await fails(errno.ENOENT, fs.kernel.lookup("latest"))

    browsed(test)


def test_latest_and_times_skip_untrusted_states(browsed: Callable[[Test], None]) -> None:
    async def test(fs: MountOfAllStates) -> None:
        one, two = fs.put(5, config="v1"), fs.put(6, config="v2")
        fs.other.ledger.set_trust({two.id: "contradicted"}, 1)
        assert await fs.kernel.readlink("latest") == f"ids/{one.id}"
        assert await fs.kernel.names("times") == [TIME]
        fs.other.ledger.set_trust({one.id: "unknown"}, 1)
        await fails(errno.ENOENT, fs.kernel.lookup("latest"))
        await fails(errno.ENOENT, fs.kernel.lookup(f"times/{TIME}"))
        assert len(await fs.kernel.names("ids")) == 2
        fs.other.ledger.set_trust({one.id: "unchecked", two.id: "verified"}, 2)
        assert len(await fs.kernel.names("times")) == 2

    browsed(test)


def test_an_id_prefix_is_an_unlisted_symbolic_link(browsed: Callable[[Test], None]) -> None:
    async def test(fs: MountOfAllStates) -> None:
        one = fs.put(5, config="v1")
        assert await fs.kernel.readlink(f"ids/{one.id[:8]}") == one.id
        assert await fs.kernel.names("ids") == [one.id]
        await fails(errno.ENOENT, fs.kernel.lookup(f"ids/{one.id[:7]}"))

    browsed(test)


def test_timeouts_are_infinite_within_a_state_and_a_second_above(browsed: Callable[[Test], None]) -> None:
    async def test(fs: MountOfAllStates) -> None:
        one = fs.put(5, **{"data": "v1"})
        for path in ("", "ids", "times", "latest", f"times/{TIME}", f"ids/{one.id}", f".rwm/hidden/{one.id}"):
            attributes = await fs.kernel.lookup(path)
            assert (attributes.entry_timeout, attributes.attr_timeout) == (LIVE_TIMEOUT, LIVE_TIMEOUT), path
            again = await fs.ops.getattr(attributes.st_ino, CONTEXT)
            assert again.__getstate__() == attributes.__getstate__(), path
        file = await fs.kernel.lookup(f"ids/{one.id}/data")
        assert (file.entry_timeout, file.attr_timeout) == (IMMUTABLE_TIMEOUT, IMMUTABLE_TIMEOUT)
        for path, lifetime in (("ids", LIVE_TIMEOUT), ("times", LIVE_TIMEOUT), (f"ids/{one.id}", IMMUTABLE_TIMEOUT)):
            inode = (await fs.kernel.lookup(path)).st_ino
            assert (await fs.ops.lookup(inode, b"nothing", CONTEXT)).entry_timeout == lifetime

    browsed(test)


def test_attributes_above_the_states(browsed: Callable[[Test], None]) -> None:
    async def test(fs: MountOfAllStates) -> None:
        one, two = fs.put(5, config="v1"), fs.put(6, config="v1")
        root = await fs.kernel.lookup("")
        assert (root.st_mode, root.st_mtime_ns) == (stat.S_IFDIR | 0o555, 6 * 10**9)
        assert (await fs.kernel.lookup(f"ids/{one.id}")).st_mtime_ns == 5 * 10**9
        link = await fs.kernel.lookup(f"times/{TIME}")
        assert (link.st_mode, link.st_size, link.st_mtime_ns) == (stat.S_IFLNK | 0o777, 71, 5 * 10**9)
        text = await fs.kernel.lookup(f".rwm/hidden/{two.id}")
        assert (text.st_mode, text.st_size) == (stat.S_IFREG | 0o444, 0)
        assert (await fs.ops.open(text.st_ino, 0, CONTEXT)).direct_io, "its size of 0 must not end a read"
        await fails(errno.EINVAL, fs.ops.readlink(text.st_ino, CONTEXT))
        assert (await fs.ops.statfs(CONTEXT)).f_files == two.objects + 5
        fs.other.forget([one, two])
        assert (await fs.ops.statfs(CONTEXT)).f_files == 5

    browsed(test)


def test_xattrs_of_states_and_files(browsed: Callable[[Test], None]) -> None:
    async def test(fs: MountOfAllStates) -> None:
        one = fs.put(5, **{"data": "v1"})
        expected = {"user.rwm.state_id": one.id, "user.rwm.captured_at": TIME, "user.rwm.trust": "own"}
        assert await fs.kernel.xattrs(f"ids/{one.id}") == expected
        fs.other.ledger.set_trust({one.id: "contradicted"}, 1)
        assert await fs.kernel.xattrs(f"ids/{one.id}") == expected | {"user.rwm.trust": "contradicted"}
        data = await fs.kernel.xattrs(f"ids/{one.id}/data")
        assert data == {"user.rwm.version_id": "v1", "user.rwm.etag": "etag-v1"}
        for path in ("", "ids", f"ids/{one.id[:8]}", f"ids/{one.id}/locks", f".rwm/hidden/{one.id}"):
            assert await fs.kernel.xattrs(path) == {}, path

    browsed(test)


def test_the_file_of_hidden_keys(browsed: Callable[[Test], None]) -> None:
    async def test(fs: MountOfAllStates) -> None:
        one = fs.put(5, **{"a//b": "v1", "x/..": "v1", "y": "v1", "y/z": "v1", "config": "v1"})
        assert await fs.kernel.read(f".rwm/hidden/{one.id}") == b"a//b\nx/..\ny\n"

    browsed(test)


def test_a_forgotten_state_that_was_in_use_is_an_error_not_absent(
    browsed: Callable[[Test], None], caplog: pytest.LogCaptureFixture
) -> None:
    """It is not listed, and every path to it fails with EIO: restic takes ENOENT for an empty repository."""

    async def test(fs: MountOfAllStates) -> None:
        contents = {"config": "v1", "data/a": "v1"}
        one, unseen = put(fs.other, 5, contents), put(fs.other, 6, contents)
        root, data, file = [(await fs.kernel.lookup(f"ids/{one.id}{path}")).st_ino for path in ("", "/data", "/data/a")]
        fs.other.forget([one, unseen])
        for directory, name in ((root, b"config"), (data, b"a"), (data, b"never")):
            await fails(errno.EIO, fs.ops.lookup(directory, name, CONTEXT))
        await fails(errno.EIO, fs.ops.opendir(data, CONTEXT))
        await fails(errno.EIO, fs.ops.open(file, 0, CONTEXT))
        await fails(errno.EIO, fs.ops.getattr(file, CONTEXT))
        await fails(errno.EIO, fs.ops.listxattr(root, CONTEXT))
        await fails(errno.EIO, fs.kernel.lookup(f"ids/{one.id}"))
        await fails(errno.EIO, fs.kernel.lookup(f"ids/{one.id}/snapshots"))
        assert await fs.kernel.readlink(f"times/{TIME}") == f"../ids/{one.id}"
        assert await fs.kernel.readlink(f"ids/{one.id[:9]}") == one.id
        assert await fs.kernel.names("ids") == await fs.kernel.names("times") == []
        await fails(errno.ENOENT, fs.kernel.lookup(f"ids/{unseen.id}"))
        await fails(errno.ENOENT, fs.kernel.lookup("times/1970-01-01T00:00:06Z"))
        fs.other.record(one, listed(contents))
        assert await fs.kernel.names("ids") == [one.id]
        assert (await fs.kernel.lookup(f"ids/{one.id}/data/a")).st_ino == file
        assert await fs.kernel.names(f"ids/{one.id}/data") == ["a"]

    with caplog.at_level(logging.ERROR):
        browsed(test)
    (line,) = [record.message for record in caplog.records]
    assert "is not in the index any more" in line


def test_links_and_hidden_keys_of_a_forgotten_state_are_stale(browsed: Callable[[Test], None]) -> None:
    async def test(fs: MountOfAllStates) -> None:
        one = fs.put(5, **{"a//b": "v1"})
        text, link = await fs.kernel.lookup(f".rwm/hidden/{one.id}"), await fs.kernel.lookup("latest")
        found = fs.browse.child(HIDDEN, one.id)
        assert isinstance(found, GeneratedFile)
        fs.other.forget([one])
        await fails(errno.ESTALE, fs.ops.open(text.st_ino, 0, CONTEXT))
        await fails(errno.ESTALE, fs.ops.readlink(link.st_ino, CONTEXT))
        with pytest.raises(StateNotFound, match="not in the index any more"):
            found.read()

    browsed(test)


def test_each_state_has_its_own_locks_within_a_common_limit(browsed: Callable[[Test], None]) -> None:
    async def test(fs: MountOfAllStates) -> None:
        states = [fs.put(second, config="v1") for second in (5, 6)]
        locks = [(await fs.kernel.lookup(f"ids/{info.id}/locks")).st_ino for info in states]
        assert len(set(locks)) == 2
        one, _ = await fs.ops.create(locks[0], b"a", 0o600, 2, CONTEXT)
        two, _ = await fs.ops.create(locks[1], b"a", 0o600, 2, CONTEXT)
        await fs.ops.write(one.fh, 0, b"1" * 60)
        await fails(errno.ENOSPC, fs.ops.write(two.fh, 0, b"2" * 60))
        await fs.ops.write(two.fh, 0, b"2" * 40)
        assert [await fs.kernel.read(f"ids/{info.id}/locks/a") for info in states] == [b"1" * 60, b"2" * 40]
        await fails(errno.EXDEV, fs.ops.rename(locks[0], b"a", locks[1], b"b", 0, CONTEXT))
        await fs.ops.unlink(locks[0], b"a", CONTEXT)
        assert [await fs.kernel.names(f"ids/{info.id}/locks") for info in states] == [[], ["a"]]
        for path in ("", "ids", f"ids/{states[0].id}", "times", ".rwm/hidden"):
            inode = (await fs.kernel.lookup(path)).st_ino
            await fails(errno.EROFS, fs.ops.create(inode, b"x", 0o600, 2, CONTEXT))
            await fails(errno.EROFS, fs.ops.mkdir(inode, b"x", 0o700, CONTEXT))
            await fails(errno.EROFS, fs.ops.rename(locks[1], b"a", inode, b"a", 0, CONTEXT))
        await fs.ops.forget([(locks[0], 1), (locks[1], 1)])

    browsed(test)


def test_above_the_states_there_is_no_locks(browsed: Callable[[Test], None]) -> None:
    async def test(fs: MountOfAllStates) -> None:
        fs.put(5, config="v1")
        for path in ("locks", "ids/locks", "times/locks", ".rwm/locks"):
            await fails(errno.ENOENT, fs.kernel.lookup(path))

    browsed(test)


def test_a_listing_is_a_snapshot_until_it_is_read_from_its_start(browsed: Callable[[Test], None]) -> None:
    async def test(fs: MountOfAllStates) -> None:
        states = [fs.put(second, config="v1") for second in range(5, 12)]
        handle = await fs.ops.opendir((await fs.kernel.lookup("times")).st_ino, CONTEXT)
        first = await fs.kernel.readdir(handle, 0)
        fs.other.forget([states[0], states[6]])
        fs.put(1, config="v1")
        rest = await fs.kernel.readdir(handle, 3) + await fs.kernel.readdir(handle, 6)
        assert first + rest == [f"1970-01-01T00:00:{second:02}Z" for second in range(5, 12)]
        assert await fs.kernel.readdir(handle, 0) == [f"1970-01-01T00:00:{second:02}Z" for second in (1, 6, 7)]

    browsed(test)


def test_a_damaged_index_is_eio_and_logged(
    browsed: Callable[[Test], None], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def damaged() -> int:
        raise IndexDamaged("index here: database disk image is malformed")

    async def test(fs: MountOfAllStates) -> None:
        monkeypatch.setattr(fs.index, "data_version", damaged)
        await fails(errno.EIO, fs.kernel.lookup("ids"))

    with caplog.at_level(logging.ERROR):
        browsed(test)
    assert caplog.messages == ["getattr failed: index here: database disk image is malformed"]


# --- cost --------------------------------------------------------------------------------------------


def test_the_catalog_is_read_only_after_a_change_of_the_index(
    browsed: Callable[[Test], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(fs: MountOfAllStates) -> None:
        one = fs.put(5, config="v1")
        assert await fs.kernel.names("ids") == [one.id]
        with monkeypatch.context() as patch:
            patch.setattr(fs.index, "recorded", lambda bucket: pytest.fail("read again"))
            assert await fs.kernel.names("ids") == [one.id]
            assert len(await fs.kernel.names("times")) == 1
        fs.other.forget([one])
        assert await fs.kernel.names("ids") == []

    browsed(test)


def test_the_catalog_is_read_at_most_once_per_refresh_interval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("rwmfs.tree.all_states.monotonic", lambda: now)
    with Index.open(tmp_path / "index") as other, Index.open(tmp_path / "index", readonly=True) as index:
        browse = AllStates(index, Location(BUCKET))
        one = put(other, 5, {"config": "v1"})
        for now, expected in ((100.9, []), (101.1, [one.id])):  # noqa: B007 - the clock
            assert browse.catalog().ids == expected
        two = put(other, 6, {"config": "v1"})
        for now, expected in ((102.0, [one.id]), (102.2, sorted([one.id, two.id]))):  # noqa: B007 - the clock
            assert browse.catalog().ids == expected


def test_the_number_of_cached_trees_is_bounded(browsed: Callable[[Test], None]) -> None:
    async def test(fs: MountOfAllStates) -> None:
        for second in range(CACHED_TREES + 10):
            fs.put(second, **{"data/a": str(second)})
        for _ in range(2):
            for name in fs.browse.catalog().ids:
                assert await fs.kernel.names(f"ids/{name}/data") == ["a"]
                assert len(fs.browse._trees) <= CACHED_TREES

    browsed(test)


def test_a_listing_of_many_states_takes_two_queries(browsed: Callable[[Test], None]) -> None:
    async def test(fs: MountOfAllStates) -> None:
        first = state(0, [entry("config")])
        fs.other.record(first, [entry("config")])
        for second in range(1, 2000):
            info = state(second, [entry("config")])
            assert fs.other.record_changes(info, first, [])
            first = info
        statements: list[str] = []
        fs.browse.catalog()
        fs.index._connection.set_trace_callback(statements.append)
        assert len(fs.browse.children(IDS, limit=10_000)) == 2000
        links = fs.browse.children(TIMES, limit=10_000)
        assert len({link.target for link in links if isinstance(link, Symlink)}) == 2000
        assert len(statements) == 2, statements

    browsed(test)
