"""The files of the disk cache: what is read is what was written, whatever happened to the file."""

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

from rwmfs.cache import block_file as cachefile
from rwmfs.cache.block_file import BLOCK, Damaged, Identity, identify
from rwmfs.cache.direct_io import PAGE
from rwmfs.object_id import ObjectId

RECORD = cachefile.RECORD.size
SIZE = 2 * BLOCK + 1000
CONTENT = random.Random(1).randbytes(SIZE)
OBJECT = ObjectId("data/ab/abcd", "v1", SIZE, "etag")
IDENTITY = identify("http://server", "bucket1", OBJECT)


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
    """A file that holds the whole object."""
    cachefile.write(file, IDENTITY, 0, memoryview(CONTENT))
    return file


def read(descriptor: int, start: int = 0, stop: int = SIZE, identity: Identity = IDENTITY) -> bytes | None:
    found = cachefile.read(descriptor, identity, start, stop)
    return None if found is None else bytes(found.data)


def damage(descriptor: int, offset: int, change: Callable[[int], int] = lambda byte: byte ^ 1) -> None:
    os.pwrite(descriptor, bytes([change(os.pread(descriptor, 1, offset)[0])]), offset)


# --- reading and writing -----------------------------------------------------------------------------


def test_what_was_written_is_read() -> None:
    with new_file() as file:
        assert read(file, 0, 1) is None
        cachefile.write(file, IDENTITY, BLOCK, memoryview(CONTENT)[BLOCK : 2 * BLOCK])
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
        cachefile.write(file, IDENTITY, 2 * BLOCK, memoryview(CONTENT)[2 * BLOCK :])
        assert read(file, BLOCK, SIZE) == CONTENT[BLOCK:]


@given(st.integers(0, SIZE - 1), st.integers(1, SIZE))
def test_any_range_comes_out(start: int, length: int) -> None:
    stop = min(start + length, SIZE)
    with new_file() as file:
        cachefile.write(file, IDENTITY, 0, memoryview(CONTENT))
        assert read(file, start, stop) == CONTENT[start:stop]


def test_what_was_proven_is_known_to_be_as_long_as_all_of_it_was(file: int) -> None:
    for proven in (True, False, True):
        cachefile.write(file, IDENTITY, 0, memoryview(CONTENT), proven=proven)
        kept = cachefile.read(file, IDENTITY, 1, SIZE)
        assert kept is not None
        assert kept.proven is proven
    cachefile.write(file, IDENTITY, BLOCK, memoryview(CONTENT)[BLOCK : 2 * BLOCK])
    for start, stop, proven in ((0, BLOCK, True), (BLOCK, BLOCK + 1, False), (2 * BLOCK, SIZE, True), (0, SIZE, False)):
        kept = cachefile.read(file, IDENTITY, start, stop)
        assert kept is not None
        assert kept.proven is proven


def test_a_mark_that_became_another_one_is_damage(file: int) -> None:
    cachefile.write(file, IDENTITY, 0, memoryview(CONTENT))
    os.pwrite(file, cachefile.PROVEN.to_bytes(4, "little"), cachefile.HEADER.size)
    with pytest.raises(Damaged):
        read(file)


def test_what_is_not_kept_takes_no_room(file: int) -> None:
    large = Identity(IDENTITY.digest, 1 << 40)
    last = large.size - BLOCK
    cachefile.write(file, large, last, memoryview(CONTENT)[:BLOCK])
    assert read(file, last, large.size, large) == CONTENT[:BLOCK]
    assert os.fstat(file).st_blocks * 512 <= large.cost(BLOCK)


def test_the_data_begins_at_a_page_behind_the_records() -> None:
    for size in (1, BLOCK, SIZE, 336 * BLOCK, 336 * BLOCK + 1, 10**12):
        identity = Identity(bytes(32), size)
        records = -(-size // BLOCK) * RECORD
        assert identity.data_at % PAGE == 0
        assert 0 <= identity.data_at - cachefile.HEADER.size - records < PAGE
        assert len(identity.header) == cachefile.HEADER.size


# --- damage --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["header", "records", "padding", "data"])
@pytest.mark.parametrize("bits", [1, 0x80, 0xFF])
def test_one_byte_that_changed_never_gives_wrong_bytes(full: int, where: str, bits: int) -> None:
    end = IDENTITY.data_at + SIZE
    data = {*range(IDENTITY.data_at, end, 997), end - 1}
    records = range(64, 64 + 3 * RECORD)
    places = {"header": range(64), "records": records, "padding": range(records.stop, 4096, 7), "data": sorted(data)}
    for offset in places[where]:
        damage(full, offset, lambda byte: byte ^ bits)
        found = None
        try:
            found = read(full)
        except Damaged as error:
            assert where in ("records", "data")
            begin, each = (64, RECORD) if where == "records" else (IDENTITY.data_at, BLOCK)
            assert error.grain == (offset - begin) // each
        assert found == (CONTENT if where == "padding" else None)
        damage(full, offset, lambda byte: byte ^ bits)
    assert read(full) == CONTENT


@given(st.integers(0, IDENTITY.data_at + SIZE), st.booleans())
def test_a_file_that_was_cut_off_gives_what_is_left_or_nothing(length: int, is_filled: bool) -> None:
    """With zeros behind what is left it is what a crash makes of data that did not reach the disk."""
    with new_file() as file:
        cachefile.write(file, IDENTITY, 0, memoryview(CONTENT))
        os.ftruncate(file, length)
        if is_filled:
            os.ftruncate(file, IDENTITY.data_at + SIZE)
        for grain in range(3):
            start, stop = grain * BLOCK, min((grain + 1) * BLOCK, SIZE)
            try:
                found = read(file, start, stop)
            except Damaged:
                found = None
            assert found in (None, CONTENT[start:stop])
            assert found is not None or length < IDENTITY.data_at + stop


def test_a_record_without_its_data_is_damage(file: int) -> None:
    """As a crash leaves it that wrote the records first."""
    zeros = Identity(IDENTITY.digest, BLOCK)
    cachefile.write(file, zeros, 0, memoryview(CONTENT)[:BLOCK])
    os.ftruncate(file, zeros.data_at)
    os.ftruncate(file, zeros.data_at + BLOCK)
    with pytest.raises(Damaged):
        read(file, 0, BLOCK, zeros)


def test_a_grain_in_another_place_is_damage(full: int) -> None:
    """Data and record moved together, as when a file system mixes up its blocks."""
    data, record = os.pread(full, BLOCK, IDENTITY.data_at), os.pread(full, RECORD, 64)
    os.pwrite(full, data, IDENTITY.data_at + BLOCK)
    os.pwrite(full, record, 64 + RECORD)
    assert read(full, 0, BLOCK) == CONTENT[:BLOCK]
    with pytest.raises(Damaged) as error:
        read(full, BLOCK, 2 * BLOCK)
    assert error.value.grain == 1


def test_the_content_of_another_object_is_damage(full: int) -> None:
    other = identify("http://server", "bucket1", OBJECT._replace(version_id="v2"))
    assert read(full, identity=other) is None
    os.pwrite(full, other.header, 0)
    with pytest.raises(Damaged):
        read(full, identity=other)


def test_a_grain_that_was_forgotten_is_not_kept_and_can_be_written_again(full: int) -> None:
    damage(full, IDENTITY.data_at + BLOCK)
    with pytest.raises(Damaged) as error:
        read(full)
    cachefile.forget(full, IDENTITY, error.value.grain)
    assert read(full) is None
    assert read(full, 0, BLOCK) == CONTENT[:BLOCK]
    cachefile.write(full, IDENTITY, BLOCK, memoryview(CONTENT)[BLOCK : 2 * BLOCK])
    assert read(full) == CONTENT


def test_a_file_with_a_damaged_header_is_begun_anew(full: int) -> None:
    damage(full, 20)
    cachefile.forget(full, IDENTITY, 0)
    cachefile.write(full, IDENTITY, BLOCK, memoryview(CONTENT)[BLOCK : 2 * BLOCK])
    assert read(full, 0, BLOCK) is None
    assert read(full, BLOCK, 2 * BLOCK) == CONTENT[BLOCK : 2 * BLOCK]


def test_two_who_begin_a_file_at_once_both_keep_what_they_have(file: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each finds it new; the second writes all that it has while the first has not gone on from there."""
    pread = os.pread

    def overtaken(descriptor: int, size: int, offset: int) -> bytes:
        found = pread(descriptor, size, offset)
        monkeypatch.setattr(os, "pread", pread)
        cachefile.write(file, IDENTITY, BLOCK, memoryview(CONTENT)[BLOCK:])
        return found

    monkeypatch.setattr(os, "pread", overtaken)
    cachefile.write(file, IDENTITY, 0, memoryview(CONTENT)[:BLOCK])
    assert read(file) == CONTENT


def test_a_write_that_is_taken_in_parts_is_finished(file: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pwrite, preadv = os.pwrite, os.preadv
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: pwrite(fd, data[:4001], offset))
    monkeypatch.setattr(os, "preadv", lambda fd, buffers, offset: preadv(fd, [buffers[0][:3001]], offset))
    cachefile.write(file, IDENTITY, 0, memoryview(CONTENT))
    assert read(file) == CONTENT


# --- identities ----------------------------------------------------------------------------------------


def test_every_part_of_an_identity_counts() -> None:
    objects = [
        OBJECT,
        OBJECT._replace(key="data/ab/abce"),
        OBJECT._replace(version_id="null"),
        OBJECT._replace(etag="other"),
        OBJECT._replace(size=SIZE + 1),
    ]
    names = {identify(server, bucket, one).name for server in "ab" for bucket in "ab" for one in objects}
    assert len(names) == 20


def test_a_part_does_not_end_where_another_could_begin() -> None:
    objects = [ObjectId("ab", "c", 12, "3"), ObjectId("a", "bc", 12, "3"), ObjectId("ab", "", 12, "c3")]
    names = {identify("s", "b", one).name for one in [*objects, ObjectId("ab", "c", 2, "31")]}
    assert len(names | {identify("sb", "", objects[0]).name, identify("", "sb", objects[0]).name}) == 6


TEXT = st.text("ab1\0", max_size=3)
PARTS = st.tuples(TEXT, TEXT, st.builds(ObjectId, TEXT, TEXT, st.integers(1, 20), TEXT))


@given(PARTS, PARTS)
def test_two_identities_are_equal_only_when_all_their_parts_are(
    one: tuple[str, str, ObjectId], other: tuple[str, str, ObjectId]
) -> None:
    assert (identify(*one).name == identify(*other).name) == (one == other)


@given(st.text(), st.text())
def test_any_key_has_a_name_of_hexadecimal_digits(key: str, version: str) -> None:
    name = identify("", "", ObjectId(key, version, 1, "")).name
    assert len(name) == 64 and set(name) <= set("0123456789abcdef")


def test_a_key_that_is_no_unicode_has_a_name() -> None:
    assert identify("", "", ObjectId("\ud800", "", 1, "")) != identify("", "", ObjectId("\udfff", "", 1, ""))
