"""The file format of the disk cache: the stored blocks of one object version, with a checksum for each.

::

    0            header   magic, block size, object size, digest of the object version, checksum of these
    64           records  one for each block of the object: mark and checksum; zeros where no block is stored.
                          The mark is STORED or VERIFIED: VERIFIED if the content of the whole object was verified
    data_offset  data     the blocks at their offsets in the object, holes where none is stored; a multiple of 4096

Data is written before its records, without fsync. A crash, a full disk or a bad sector leaves a record without a valid
mark or a checksum that does not match; either way the block counts as not stored. The checksum (XXH3, 64 bits)
detects accidents, not attacks: only the user may write to the directory. Its seed is a checksum of digest, block
number and mark, so a block of another object or from another offset does not match.

No locks are needed: two processes that write the same block write the same bytes.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xxhash import xxh3_64_intdigest

from rwmfs.cache import direct_io
from rwmfs.cache.direct_io import PAGE
from rwmfs.cache.interface import BLOCK, StoredRange
from rwmfs.object_id import ObjectId

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

FORMAT = b"rwm cache 2"
MAGIC = b"rwmcache"
STORED = 0x6E696172
VERIFIED = 0x766F7270
HEADER = struct.Struct("<8sIQ32sQ4x")
RECORD = struct.Struct("<IQ")
SEED = struct.Struct("<32sQI")

ReadInto = Callable[[int, memoryview, int], object]
"""Fills a buffer from a descriptor, starting at an offset."""

WriteAll = Callable[[int, memoryview, int], object]
"""Writes a whole buffer to a descriptor, starting at an offset."""


class DamagedBlock(Exception):
    """The stored bytes of a block do not match its checksum. ``block`` is its number in the object."""

    def __init__(self, block: int) -> None:
        super().__init__(block)
        self.block = block


@dataclass(frozen=True, slots=True)
class FileLayout:
    """Name and layout of the file for one object version."""

    digest: bytes
    """SHA-256 of server, bucket and object version."""

    size: int
    """Bytes of the object."""

    @property
    def name(self) -> str:
        """The file's name: 64 hexadecimal digits, whatever the key."""
        return self.digest.hex()

    @property
    def data_offset(self) -> int:
        """Where the data begins in the file."""
        return _round_up(HEADER.size + RECORD.size * -(-self.size // BLOCK), PAGE)

    @property
    def header(self) -> bytes:
        """The first 64 bytes of the file."""
        fields = (MAGIC, BLOCK, self.size, self.digest)
        return HEADER.pack(*fields, xxh3_64_intdigest(HEADER.pack(*fields, 0)))

    def disk_size(self, length: int) -> int:
        """Upper bound of the disk space for ``length`` bytes of the object, with header and records."""
        pages = 1 if self.data_offset == PAGE else 3  # header and records in one page, or records across two more
        return _round_up(length, PAGE) + pages * PAGE


def layout_of(endpoint: str, bucket: str, object_id: ObjectId) -> FileLayout:
    """The file layout for an object version, unique among all servers and buckets.

    Each field enters the digest after its length, so that different fields never give the same input.
    """
    digest = hashlib.sha256()
    fields = (endpoint, bucket, object_id.key, object_id.version_id, object_id.etag, str(object_id.size))
    for text in fields:
        field = text.encode("utf-8", "surrogatepass")
        digest.update(len(field).to_bytes(8, "little") + field)
    digest.update(FORMAT)
    return FileLayout(digest.digest(), object_id.size)


def read(
    descriptor: int,
    layout: FileLayout,
    start: int,
    stop: int,
    *,
    read_into: ReadInto = direct_io.read_into,
    allocate: Callable[[int], WriteableBuffer] = bytearray,
) -> StoredRange | None:
    """Return the object's bytes from ``start`` to ``stop`` (exclusive) if all their blocks are stored, else None.

    ``read_into`` reads the data, ``allocate`` returns a buffer of a size in bytes. Raises DamagedBlock, OSError.
    """
    if not _has_header(descriptor, layout):
        return None
    first, last = start // BLOCK, -(-stop // BLOCK)
    raw = os.pread(descriptor, (last - first) * RECORD.size, HEADER.size + first * RECORD.size)
    if len(raw) < (last - first) * RECORD.size:
        return None
    records = list(RECORD.iter_unpack(raw))
    if any(mark not in (STORED, VERIFIED) for mark, _ in records):
        return None
    begin, end = first * BLOCK, min(last * BLOCK, layout.size)
    blocks = memoryview(allocate(end - begin))
    read_into(descriptor, blocks, layout.data_offset + begin)
    for number, (mark, checksum) in enumerate(records, first):
        until = min((number + 1) * BLOCK, end) - begin
        if _checksum(layout, number, mark, blocks[number * BLOCK - begin : until]) != checksum:
            raise DamagedBlock(number)
    return StoredRange(blocks[start - begin : stop - begin], all(mark == VERIFIED for mark, _ in records))


def write(
    descriptor: int,
    layout: FileLayout,
    start: int,
    data: memoryview,
    *,
    verified: bool = False,
    write_all: WriteAll = direct_io.write_all,
) -> None:
    """Store whole blocks from ``start``, a multiple of BLOCK; the last one may end with the object. Raises OSError.

    ``write_all`` writes the data; header and records always go through the page cache. A file without the right
    header, because it is new or damaged, is started from scratch.
    """
    header = os.pread(descriptor, HEADER.size, 0)
    if header != layout.header:
        if header:  # an empty file is not truncated: another process may have written to it since the pread
            os.ftruncate(descriptor, 0)
        direct_io.write_all(descriptor, layout.header, 0)
    first, mark = start // BLOCK, VERIFIED if verified else STORED
    records = b"".join(
        RECORD.pack(mark, _checksum(layout, number, mark, data[offset : offset + BLOCK]))
        for number, offset in enumerate(range(0, len(data), BLOCK), first)
    )
    write_all(descriptor, data, layout.data_offset + start)
    direct_io.write_all(descriptor, records, HEADER.size + first * RECORD.size)


def forget(descriptor: int, layout: FileLayout, block: int) -> None:
    """Mark a block as not stored. Raises OSError."""
    if _has_header(descriptor, layout):
        direct_io.write_all(descriptor, bytes(RECORD.size), HEADER.size + block * RECORD.size)


def _round_up(number: int, unit: int) -> int:
    return -(-number // unit) * unit


def _has_header(descriptor: int, layout: FileLayout) -> bool:
    return os.pread(descriptor, HEADER.size, 0) == layout.header


def _checksum(layout: FileLayout, block: int, mark: int, data: memoryview) -> int:
    seed = SEED.pack(layout.digest, block, mark)
    return xxh3_64_intdigest(data, xxh3_64_intdigest(seed))
