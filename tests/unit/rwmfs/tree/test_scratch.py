"""The scratch directory: POSIX as far as restic needs it, bounded."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwmfs.tree.scratch import SCRATCH_INODE, Scratch, ScratchError


@contextmanager
def refused(code: int) -> Iterator[None]:
    with pytest.raises(ScratchError) as caught:
        yield
    assert caught.value.errno == code


def names(scratch: Scratch, after: int = SCRATCH_INODE) -> list[bytes]:
    return [name for name, _ in scratch.list(after)]


def test_the_life_of_a_restic_lock() -> None:
    scratch = Scratch()
    file = scratch.create(b"abc-tmp-1", 0o600)
    scratch.open(file)
    assert scratch.write(file, 0, b"lock") == 4
    scratch.release(file)
    scratch.rename(b"abc-tmp-1", b"abc")
    file.mode = 0o400
    assert names(scratch) == [b"abc"]
    assert scratch.read(scratch.find(b"abc"), 0, 100) == b"lock"
    scratch.unlink(b"abc")
    assert names(scratch) == []
    assert len(scratch) == 0
    assert scratch.used == 0


def test_errors() -> None:
    scratch = Scratch()
    scratch.create(b"a", 0o600)
    scratch.create(b"b", 0o600)
    with refused(errno.EEXIST):
        scratch.create(b"a", 0o600)
    with refused(errno.ENOENT):
        scratch.find(b"c")
    with refused(errno.ENOENT):
        scratch.file(99)
    with refused(errno.ENOENT):
        scratch.unlink(b"c")
    with refused(errno.ENOENT):
        scratch.rename(b"c", b"d")
    with refused(errno.EEXIST):
        scratch.rename(b"a", b"b", replace=False)
    with refused(errno.ENAMETOOLONG):
        scratch.create(b"x" * 256, 0o600)
    with refused(errno.ENAMETOOLONG):
        scratch.rename(b"a", b"x" * 256)
    assert names(scratch) == [b"a", b"b"]


def test_rename_replaces() -> None:
    scratch = Scratch()
    first, second = scratch.create(b"a", 0o600), scratch.create(b"b", 0o600)
    scratch.write(first, 0, b"first")
    scratch.write(second, 0, b"second")
    scratch.rename(b"a", b"b")
    assert scratch.find(b"b") is first
    assert scratch.used == 5
    assert len(scratch) == 1
    scratch.rename(b"b", b"b")
    assert scratch.find(b"b") is first


def test_a_file_without_a_name_lives_as_long_as_somebody_holds_it() -> None:
    scratch = Scratch()
    file = scratch.create(b"a", 0o600)
    scratch.write(file, 0, b"data")
    scratch.hold(file)
    scratch.open(file)
    scratch.unlink(b"a")
    assert scratch.read(scratch.file(file.inode), 0, 9) == b"data"
    scratch.release(file)
    assert file.inode in scratch
    scratch.forget(file.inode, 1)
    assert file.inode not in scratch
    assert scratch.used == 0


def test_a_number_is_used_once() -> None:
    scratch = Scratch()
    first = scratch.create(b"a", 0o600).inode
    scratch.unlink(b"a")
    assert scratch.create(b"a", 0o600).inode != first


def test_directories_share_the_room_and_no_names() -> None:
    scratch = Scratch(max_bytes=10, max_files=3)
    other = scratch.make_directory().inode
    assert other != SCRATCH_INODE
    one, two = scratch.create(b"a", 0o600), scratch.create(b"a", 0o600, directory=other)
    assert len({one.inode, two.inode, other}) == 3
    scratch.write(one, 0, b"x" * 6)
    with refused(errno.ENOSPC):
        scratch.write(two, 0, b"y" * 5)
    scratch.create(b"b", 0o600, directory=other)
    with refused(errno.ENOSPC):
        scratch.create(b"b", 0o600)
    scratch.rename(b"b", b"c", other)
    scratch.unlink(b"a")
    assert names(scratch) == []
    assert [name for name, _ in scratch.list(0, other)] == [b"a", b"c"]
    assert scratch.find(b"a", other) is two
    with refused(errno.ENOENT):
        scratch.find(b"a")
    assert scratch.directory(one.inode) is None


def test_full() -> None:
    scratch = Scratch(max_bytes=10, max_files=2)
    file = scratch.create(b"a", 0o600)
    scratch.create(b"b", 0o600)
    with refused(errno.ENOSPC):
        scratch.create(b"c", 0o600)
    scratch.write(file, 0, b"x" * 10)
    with refused(errno.ENOSPC):
        scratch.write(file, 10, b"y")
    with refused(errno.ENOSPC):
        scratch.write(file, 1 << 60, b"y")
    assert scratch.read(file, 0, 20) == b"x" * 10
    scratch.resize(file, 3)
    assert scratch.write(file, 3, b"yy") == 2
    assert scratch.read(file, 0, 20) == b"xxxyy"


def test_a_listing_goes_on_where_it_was_though_files_come_and_go() -> None:
    scratch = Scratch()
    files = [scratch.create(name, 0o600) for name in (b"a", b"b", b"c")]
    position = scratch.list(SCRATCH_INODE)[1][1].inode
    scratch.unlink(b"a")
    scratch.create(b"d", 0o600)
    scratch.rename(b"c", b"0")
    assert names(scratch, position) == [b"0", b"d"]
    assert files[2].inode > position


@given(
    st.lists(st.tuples(st.sampled_from(["write", "resize"]), st.integers(0, 30), st.binary(max_size=8)), max_size=30)
)
def test_content_is_that_of_a_file(steps: list[tuple[str, int, bytes]]) -> None:
    scratch, model = Scratch(max_bytes=40), bytearray()
    file = scratch.create(b"a", 0o600)
    for step, offset, data in steps:
        if step == "write":
            if data:
                scratch.write(file, offset, data)
                model.extend(bytes(max(0, offset - len(model))))
                model[offset : offset + len(data)] = data
        else:
            scratch.resize(file, offset)
            model.extend(bytes(max(0, offset - len(model))))
            del model[offset:]
        assert scratch.read(file, 0, 100) == bytes(model)
        assert scratch.used == len(model)
