"""Block files: a read returns what was written, or reports damage."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwmfs.cache import block_file
from rwmfs.cache.block_file import DamagedBlock, FileLayout, layout_of
from rwmfs.cache.direct_io import PAGE
from rwmfs.cache.interface import BLOCK
from rwmfs.object_id import ObjectId

RECORD = block_file.RECORD.size
SIZE = 2 * BLOCK + 1000
CONTENT = random.Random(1).randbytes(SIZE)
OBJECT = ObjectId("data/ab/abcd", "v1", SIZE, "etag")
LAYOUT = layout_of("http://server", "bucket1", OBJECT)


@contextmanager
def new_file() -> Iterator[int]:
    with TemporaryDirectory() as directory:
        descriptor = os.open(Path(directory) / "file", os.O_RDWR | os.O_CREAT)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


@pytest.fixture
def file() -> Iterator[int]:
    """An empty file."""
    with new_file() as descriptor:
        yield descriptor


@pytest.fixture
def full(file: int) -> int:
    """A file with all blocks of the object."""
    block_file.write(file, LAYOUT, 0, memoryview(CONTENT))
    return file


def read(descriptor: int, start: int = 0, stop: int = SIZE, layout: FileLayout = LAYOUT) -> bytes | None:
    found = block_file.read(descriptor, layout, start, stop)
    return None if found is None else bytes(found.data)


def damage(descriptor: int, offset: int, change: Callable[[int], int] = lambda byte: byte ^ 1) -> None:
    os.pwrite(descriptor, bytes([change(os.pread(descriptor, 1, offset)[0])]), offset)


# --- reading and writing -----------------------------------------------------------------------------


def test_written_blocks_are_read() -> None:
    with new_file() as file:
        assert read(file, 0, 1) is None
        block_file.write(file, LAYOUT, BLOCK, memoryview(CONTENT)[BLOCK : 2 * BLOCK])
        assert read(file, BLOCK, 2 * BLOCK) == CONTENT[BLOCK : 2 * BLOCK]
        assert read(file, BLOCK + 5, BLOCK + 6) == CONTENT[BLOCK + 5 : BLOCK + 6]
        for start, stop in (
            (BLOCK - 1, BLOCK + 1),
            (2 * BLOCK - 1, 2 * BLOCK + 1),
            (0, SIZE),
            (0, 1),
            (SIZE - 1, SIZE),
        ):
            assert read(file, start, stop) is None
        block_file.write(file, LAYOUT, 2 * BLOCK, memoryview(CONTENT)[2 * BLOCK :])
        assert read(file, BLOCK, SIZE) == CONTENT[BLOCK:]


@given(st.integers(0, SIZE - 1), st.integers(1, SIZE))
def test_any_range_can_be_read(start: int, length: int) -> None:
    stop = min(start + length, SIZE)
    with new_file() as file:
        block_file.write(file, LAYOUT, 0, memoryview(CONTENT))
        assert read(file, start, stop) == CONTENT[start:stop]


def test_a_range_is_verified_if_all_its_blocks_are(file: int) -> None:
    for verified in (True, False, True):
        block_file.write(file, LAYOUT, 0, memoryview(CONTENT), verified=verified)
        found = block_file.read(file, LAYOUT, 1, SIZE)
        assert found is not None
        assert found.verified is verified
    block_file.write(file, LAYOUT, BLOCK, memoryview(CONTENT)[BLOCK : 2 * BLOCK])
    for start, stop, verified in (
        (0, BLOCK, True),
        (BLOCK, BLOCK + 1, False),
        (2 * BLOCK, SIZE, True),
        (0, SIZE, False),
    ):
        found = block_file.read(file, LAYOUT, start, stop)
        assert found is not None
        assert found.verified is verified


def test_a_changed_mark_is_damage(file: int) -> None:
    block_file.write(file, LAYOUT, 0, memoryview(CONTENT))
    os.pwrite(file, block_file.VERIFIED.to_bytes(4, "little"), block_file.HEADER.size)
    with pytest.raises(DamagedBlock):
        read(file)


def test_missing_blocks_take_no_disk_space(file: int) -> None:
    large = FileLayout(LAYOUT.digest, 1 << 40)
    last = large.size - BLOCK
    block_file.write(file, large, last, memoryview(CONTENT)[:BLOCK])
    assert read(file, last, large.size, large) == CONTENT[:BLOCK]
    assert os.fstat(file).st_blocks * 512 <= large.disk_size(BLOCK)


def test_the_data_begins_at_the_first_page_after_the_records() -> None:
    for size in (1, BLOCK, SIZE, 336 * BLOCK, 336 * BLOCK + 1, 10**12):
        layout = FileLayout(bytes(32), size)
        records = -(-size // BLOCK) * RECORD
        assert layout.data_offset % PAGE == 0
        assert 0 <= layout.data_offset - block_file.HEADER.size - records < PAGE
        assert len(layout.header) == block_file.HEADER.size


# --- damage --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["header", "records", "padding", "data"])
@pytest.mark.parametrize("bits", [1, 0x80, 0xFF])
def test_one_changed_byte_never_gives_wrong_data(full: int, where: str, bits: int) -> None:
    end = LAYOUT.data_offset + SIZE
    data = {*range(LAYOUT.data_offset, end, 997), end - 1}
    records = range(64, 64 + 3 * RECORD)
    offsets = {"header": range(64), "records": records, "padding": range(records.stop, 4096, 7), "data": sorted(data)}
    for offset in offsets[where]:
        damage(full, offset, lambda byte: byte ^ bits)
        found = None
        try:
            found = read(full)
        except DamagedBlock as error:
            assert where in ("records", "data")
            begin, each = (64, RECORD) if where == "records" else (LAYOUT.data_offset, BLOCK)
            assert error.block == (offset - begin) // each
        assert found == (CONTENT if where == "padding" else None)
        damage(full, offset, lambda byte: byte ^ bits)
    assert read(full) == CONTENT


@given(st.integers(0, LAYOUT.data_offset + SIZE), st.booleans())
def test_a_truncated_file_gives_the_remaining_blocks(length: int, is_filled: bool) -> None:
    """Followed by zeros, as after a crash before the data reached the disk."""
    with new_file() as file:
        block_file.write(file, LAYOUT, 0, memoryview(CONTENT))
        os.ftruncate(file, length)
        if is_filled:
            os.ftruncate(file, LAYOUT.data_offset + SIZE)
        for block in range(3):
            start, stop = block * BLOCK, min((block + 1) * BLOCK, SIZE)
            try:
                found = read(file, start, stop)
            except DamagedBlock:
                found = None
            assert found in (None, CONTENT[start:stop])
            assert found is not None or length < LAYOUT.data_offset + stop


def test_a_record_without_its_data_is_damage(file: int) -> None:
    """As after a crash that wrote the records first."""
    zeros = FileLayout(LAYOUT.digest, BLOCK)
    block_file.write(file, zeros, 0, memoryview(CONTENT)[:BLOCK])
    os.ftruncate(file, zeros.data_offset)
    os.ftruncate(file, zeros.data_offset + BLOCK)
    with pytest.raises(DamagedBlock):
        read(file, 0, BLOCK, zeros)


def test_a_block_at_another_offset_is_damage(full: int) -> None:
    """Data and record moved together, as when a file system mixes up its blocks."""
    data, record = os.pread(full, BLOCK, LAYOUT.data_offset), os.pread(full, RECORD, 64)
    os.pwrite(full, data, LAYOUT.data_offset + BLOCK)
    os.pwrite(full, record, 64 + RECORD)
    assert read(full, 0, BLOCK) == CONTENT[:BLOCK]
    with pytest.raises(DamagedBlock) as error:
        read(full, BLOCK, 2 * BLOCK)
    assert error.value.block == 1


def test_the_content_of_another_object_is_damage(full: int) -> None:
    other = layout_of("http://server", "bucket1", OBJECT._replace(version_id="v2"))
    assert read(full, layout=other) is None
    os.pwrite(full, other.header, 0)
    with pytest.raises(DamagedBlock):
        read(full, layout=other)


def test_a_forgotten_block_can_be_written_again(full: int) -> None:
    damage(full, LAYOUT.data_offset + BLOCK)
    with pytest.raises(DamagedBlock) as error:
        read(full)
    block_file.forget(full, LAYOUT, error.value.block)
    assert read(full) is None
    assert read(full, 0, BLOCK) == CONTENT[:BLOCK]
    block_file.write(full, LAYOUT, BLOCK, memoryview(CONTENT)[BLOCK : 2 * BLOCK])
    assert read(full) == CONTENT


def test_a_file_with_a_damaged_header_is_rewritten(full: int) -> None:
    damage(full, 20)
    block_file.forget(full, LAYOUT, 0)
    block_file.write(full, LAYOUT, BLOCK, memoryview(CONTENT)[BLOCK : 2 * BLOCK])
    assert read(full, 0, BLOCK) is None
    assert read(full, BLOCK, 2 * BLOCK) == CONTENT[BLOCK : 2 * BLOCK]


def test_two_first_writes_of_a_file_both_succeed(file: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both find an empty file; the second writes all its data before the first continues."""
    pread = os.pread

    def overtaken(descriptor: int, size: int, offset: int) -> bytes:
        found = pread(descriptor, size, offset)
        monkeypatch.setattr(os, "pread", pread)
        block_file.write(file, LAYOUT, BLOCK, memoryview(CONTENT)[BLOCK:])
        return found

    monkeypatch.setattr(os, "pread", overtaken)
    block_file.write(file, LAYOUT, 0, memoryview(CONTENT)[:BLOCK])
    assert read(file) == CONTENT


def test_short_reads_and_writes_are_continued(file: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pwrite, preadv = os.pwrite, os.preadv
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: pwrite(fd, data[:4001], offset))
    monkeypatch.setattr(os, "preadv", lambda fd, buffers, offset: preadv(fd, [buffers[0][:3001]], offset))
    block_file.write(file, LAYOUT, 0, memoryview(CONTENT))
    assert read(file) == CONTENT


# --- names ----------------------------------------------------------------------------------------


def test_every_field_changes_the_name() -> None:
    objects = [
        OBJECT,
        OBJECT._replace(key="data/ab/abce"),
        OBJECT._replace(version_id="null"),
        OBJECT._replace(etag="other"),
        OBJECT._replace(size=SIZE + 1),
    ]
    names = {layout_of(server, bucket, one).name for server in "ab" for bucket in "ab" for one in objects}
    assert len(names) == 20


def test_fields_are_delimited() -> None:
    objects = [ObjectId("ab", "c", 12, "3"), ObjectId("a", "bc", 12, "3"), ObjectId("ab", "", 12, "c3")]
    names = {layout_of("s", "b", one).name for one in [*objects, ObjectId("ab", "c", 2, "31")]}
    assert len(names | {layout_of("sb", "", objects[0]).name, layout_of("", "sb", objects[0]).name}) == 6


TEXT = st.text("ab1\0", max_size=3)
PARTS = st.tuples(TEXT, TEXT, st.builds(ObjectId, TEXT, TEXT, st.integers(1, 20), TEXT))


@given(PARTS, PARTS)
def test_names_are_equal_only_if_all_fields_are(
    one: tuple[str, str, ObjectId], other: tuple[str, str, ObjectId]
) -> None:
    assert (layout_of(*one).name == layout_of(*other).name) == (one == other)


@given(st.text(), st.text())
def test_any_key_gives_a_name_of_hexadecimal_digits(key: str, version: str) -> None:
    name = layout_of("", "", ObjectId(key, version, 1, "")).name
    assert len(name) == 64 and set(name) <= set("0123456789abcdef")


def test_a_key_that_is_not_unicode_has_a_name() -> None:
    assert layout_of("", "", ObjectId("\ud800", "", 1, "")) != layout_of("", "", ObjectId("\udfff", "", 1, ""))
