"""The locks directory: POSIX as far as restic needs it, bounded."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwmfs.tree.inodes import FIRST_HASHED_INODE
from rwmfs.tree.locks_dir import FIRST_DIRECTORY_INODE, LOCKS_INODE, LocksDirs, LocksError


@contextmanager
def refused(code: int) -> Iterator[None]:
    with pytest.raises(LocksError) as caught:
        yield
    assert caught.value.errno == code


def names(locks: LocksDirs, after: int = LOCKS_INODE) -> list[bytes]:
    return [name for name, _ in locks.list(after)]


def test_a_lock_file_as_restic_uses_it() -> None:
    locks = LocksDirs()
    file = locks.create(b"abc-tmp-1", 0o600)
    locks.open(file)
    assert locks.write(file, 0, b"lock") == 4
    locks.release(file)
    locks.rename(b"abc-tmp-1", b"abc")
    file.mode = 0o400
    assert names(locks) == [b"abc"]
    assert locks.read(locks.find(b"abc"), 0, 100) == b"lock"
    locks.unlink(b"abc")
    assert names(locks) == []
    assert len(locks) == 0
    assert locks.used_bytes == 0


def test_errno_of_refused_requests() -> None:
    locks = LocksDirs()
    locks.create(b"a", 0o600)
    locks.create(b"b", 0o600)
    with refused(errno.EEXIST):
        locks.create(b"a", 0o600)
    with refused(errno.ENOENT):
        locks.find(b"c")
    with refused(errno.ENOENT):
        locks.file(99)
    with refused(errno.ENOENT):
        locks.unlink(b"c")
    with refused(errno.ENOENT):
        locks.rename(b"c", b"d")
    with refused(errno.EEXIST):
        locks.rename(b"a", b"b", replace=False)
    with refused(errno.ENAMETOOLONG):
        locks.create(b"x" * 256, 0o600)
    with refused(errno.ENAMETOOLONG):
        locks.rename(b"a", b"x" * 256)
    assert names(locks) == [b"a", b"b"]


def test_rename_replaces_an_existing_file() -> None:
    locks = LocksDirs()
    first, second = locks.create(b"a", 0o600), locks.create(b"b", 0o600)
    locks.write(first, 0, b"first")
    locks.write(second, 0, b"second")
    locks.rename(b"a", b"b")
    assert locks.find(b"b") is first
    assert locks.used_bytes == 5
    assert len(locks) == 1
    locks.rename(b"b", b"b")
    assert locks.find(b"b") is first


def test_an_unlinked_file_lives_until_its_last_handle_and_lookup_are_gone() -> None:
    locks = LocksDirs()
    file = locks.create(b"a", 0o600)
    locks.write(file, 0, b"data")
    locks.add_lookup(file)
    locks.open(file)
    locks.unlink(b"a")
    assert locks.read(locks.file(file.inode), 0, 9) == b"data"
    locks.release(file)
    assert file.inode in locks
    locks.forget(file.inode, 1)
    assert file.inode not in locks
    assert locks.used_bytes == 0


def test_an_inode_is_never_reused() -> None:
    locks = LocksDirs()
    first = locks.create(b"a", 0o600).inode
    locks.unlink(b"a")
    assert locks.create(b"a", 0o600).inode != first


def test_directories_share_limits_but_not_names() -> None:
    locks = LocksDirs(max_bytes=10, max_files=3)
    other = locks.directory_in(7).inode
    assert other != LOCKS_INODE
    one, two = locks.create(b"a", 0o600), locks.create(b"a", 0o600, directory=other)
    assert len({one.inode, two.inode, other}) == 3
    locks.write(one, 0, b"x" * 6)
    with refused(errno.ENOSPC):
        locks.write(two, 0, b"y" * 5)
    locks.create(b"b", 0o600, directory=other)
    with refused(errno.ENOSPC):
        locks.create(b"b", 0o600)
    locks.rename(b"b", b"c", other)
    locks.unlink(b"a")
    assert names(locks) == []
    assert [name for name, _ in locks.list(0, other)] == [b"a", b"c"]
    assert locks.find(b"a", other) is two
    with refused(errno.ENOENT):
        locks.find(b"a")
    assert locks.directory(one.inode) is None


def test_an_empty_directory_is_freed_when_the_kernel_forgets_it() -> None:
    locks, inodes = LocksDirs(root=0), dict[int, int]()
    for parent in range(1, 1000):  # a listing of many repositories
        directory = locks.directory_in(parent)
        inodes[parent] = directory.inode
        assert locks.directory_in(parent) is directory
        for _ in range(2):
            locks.add_lookup(directory)
        locks.forget(directory.inode, 1)
        assert locks.is_used_in(parent)
        assert locks.directory(directory.inode) is directory
        locks.forget(directory.inode, 1)
        assert not locks.is_used_in(parent)
        assert locks.directory(directory.inode) is None
    assert len(set(inodes.values())) == len(inodes)
    assert {parent: locks.directory_in(parent).inode for parent in inodes} == inodes, "made again with the same inode"
    assert all(FIRST_DIRECTORY_INODE <= inode < FIRST_HASHED_INODE for inode in inodes.values())


def test_the_directory_in_the_root_is_never_freed() -> None:
    locks = LocksDirs(root=5)
    directory = locks.directory_in(5)
    assert directory.inode == LOCKS_INODE
    locks.add_lookup(directory)
    locks.forget(LOCKS_INODE, 1)
    assert locks.directory_in(5) is directory is locks.directory(LOCKS_INODE)


def test_a_directory_with_files_stays_when_the_kernel_forgets_it() -> None:
    locks = LocksDirs()
    directory = locks.directory_in(7)
    locks.add_lookup(directory)
    locks.create(b"a", 0o600, directory=directory.inode)
    locks.forget(directory.inode, 1)
    assert locks.directory_in(7) is directory
    locks.add_lookup(directory)
    locks.unlink(b"a", directory.inode)
    locks.forget(directory.inode, 1)
    assert not locks.is_used_in(7)


def test_enospc_beyond_the_limits() -> None:
    locks = LocksDirs(max_bytes=10, max_files=2)
    file = locks.create(b"a", 0o600)
    locks.create(b"b", 0o600)
    with refused(errno.ENOSPC):
        locks.create(b"c", 0o600)
    locks.write(file, 0, b"x" * 10)
    with refused(errno.ENOSPC):
        locks.write(file, 10, b"y")
    with refused(errno.ENOSPC):
        locks.write(file, 1 << 60, b"y")
    assert locks.read(file, 0, 20) == b"x" * 10
    locks.truncate(file, 3)
    assert locks.write(file, 3, b"yy") == 2
    assert locks.read(file, 0, 20) == b"xxxyy"


def test_a_listing_position_survives_changes_of_the_directory() -> None:
    locks = LocksDirs()
    files = [locks.create(name, 0o600) for name in (b"a", b"b", b"c")]
    position = locks.list(LOCKS_INODE)[1][1].inode
    locks.unlink(b"a")
    locks.create(b"d", 0o600)
    locks.rename(b"c", b"0")
    assert names(locks, position) == [b"0", b"d"]
    assert files[2].inode > position


@given(
    st.lists(st.tuples(st.sampled_from(["write", "resize"]), st.integers(0, 30), st.binary(max_size=8)), max_size=30)
)
def test_write_and_truncate_behave_like_a_regular_file(steps: list[tuple[str, int, bytes]]) -> None:
    locks, model = LocksDirs(max_bytes=40), bytearray()
    file = locks.create(b"a", 0o600)
    for step, offset, data in steps:
        if step == "write":
            if data:
                locks.write(file, offset, data)
                model.extend(bytes(max(0, offset - len(model))))
                model[offset : offset + len(data)] = data
        else:
            locks.truncate(file, offset)
            model.extend(bytes(max(0, offset - len(model))))
            del model[offset:]
        assert locks.read(file, 0, 100) == bytes(model)
        assert locks.used_bytes == len(model)
