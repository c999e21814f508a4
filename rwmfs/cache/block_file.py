"""The form of a file of the disk cache: what is kept of one object version, with a checksum for each grain.

::

    0        header   magic, size of a grain, size of the object, digest of its identity, checksum of these
    64       records  one for each grain of the object: a mark and a checksum; zeros where nothing is kept.
                      There are two marks: one of them says that the whole object was what its name says
    data_at  data     the object's bytes at their places, holes where nothing is kept; at a multiple of 4096

Data is written before its records, and nothing waits for the disk. Whatever a crash, a full disk or a bad sector
leaves behind shows as a mark that is absent or a checksum that does not fit, which is a grain that is not kept. The
checksum (XXH3, 64 bits) is for accidents; nobody else may write to the directory. Its seed is the checksum of digest,
number of the grain and mark, so bytes of another object or of another place do not pass.

Two processes that write the same grain write the same bytes, so nothing here takes a lock.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from xxhash import xxh3_64_intdigest

from rwmfs.cache import direct_io
from rwmfs.cache.direct_io import PAGE
from rwmfs.object_id import ObjectId

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BLOCK = 64 * 1024
"""Bytes that are kept or not kept together. The last grain of an object is shorter."""

FORMAT = b"rwm cache 2"
MAGIC = b"rwmcache"
MARK = 0x6E696172
PROVEN = 0x766F7270
HEADER = struct.Struct("<8sIQ32sQ4x")
RECORD = struct.Struct("<IQ")
PLACE = struct.Struct("<32sQI")

Fill = Callable[[int, memoryview, int], object]
Put = Callable[[int, memoryview, int], object]
"""What reads, or writes, all of a memory from a descriptor on from an offset."""


class Damaged(Exception):
    """The bytes of ``grain`` are not those that were written."""

    def __init__(self, grain: int) -> None:
        super().__init__(grain)
        self.grain = grain


class StoredRange(NamedTuple):
    """Bytes that were kept; ``proven`` says that the object that they are of was what its name says."""

    data: memoryview
    proven: bool


@dataclass(frozen=True, slots=True)
class Identity:
    """Which object version a file is for. ``digest`` is 32 bytes, ``size`` is the object's."""

    digest: bytes
    size: int

    @property
    def name(self) -> str:
        """The file's name: no part of it was chosen by whoever named the key."""
        return self.digest.hex()

    @property
    def data_at(self) -> int:
        """Where the data begins in the file."""
        return _up(HEADER.size + RECORD.size * -(-self.size // BLOCK), PAGE)

    @property
    def header(self) -> bytes:
        """The first 64 bytes of the file."""
        fields = (MAGIC, BLOCK, self.size, self.digest)
        return HEADER.pack(*fields, xxh3_64_intdigest(HEADER.pack(*fields, 0)))

    def cost(self, length: int) -> int:
        """Bytes of the disk that keeping ``length`` bytes of the object takes at most, with header and records."""
        pages = 1 if self.data_at == PAGE else 3  # header and records in one page, or records across two more
        return _up(length, PAGE) + pages * PAGE


def identify(endpoint: str, bucket: str, version: ObjectId) -> Identity:
    """The identity of an object version among all servers and buckets.

    Each part goes into the digest behind its length, so that no two objects are the same text.
    """
    digest = hashlib.sha256()
    for text in (endpoint, bucket, version.key, version.version_id, version.etag, str(version.size)):
        part = text.encode("utf-8", "surrogatepass")
        digest.update(len(part).to_bytes(8, "little") + part)
    digest.update(FORMAT)
    return Identity(digest.digest(), version.size)


def read(
    descriptor: int,
    identity: Identity,
    start: int,
    stop: int,
    *,
    fill: Fill = direct_io.fill,
    allocate: Callable[[int], WriteableBuffer] = bytearray,
) -> StoredRange | None:
    """The object's bytes from ``start`` to ``stop`` (exclusive) if all their grains are kept, else None.

    ``fill`` reads a part of the file, ``allocate`` makes room for so many bytes. Raises Damaged, and OSError.
    """
    if not _is_of(descriptor, identity):
        return None
    first, last = start // BLOCK, -(-stop // BLOCK)
    raw = os.pread(descriptor, (last - first) * RECORD.size, HEADER.size + first * RECORD.size)
    if len(raw) < (last - first) * RECORD.size:
        return None
    records = list(RECORD.iter_unpack(raw))
    if any(mark not in (MARK, PROVEN) for mark, _ in records):
        return None
    begin, end = first * BLOCK, min(last * BLOCK, identity.size)
    whole = memoryview(allocate(end - begin))
    fill(descriptor, whole, identity.data_at + begin)
    for number, (mark, checksum) in enumerate(records, first):
        until = min((number + 1) * BLOCK, end) - begin
        if _checksum(identity, number, mark, whole[number * BLOCK - begin : until]) != checksum:
            raise Damaged(number)
    return StoredRange(whole[start - begin : stop - begin], all(mark == PROVEN for mark, _ in records))


def write(
    descriptor: int,
    identity: Identity,
    start: int,
    data: memoryview,
    *,
    proven: bool = False,
    put: Put = direct_io.put,
) -> None:
    """Keep the bytes from ``start``, the beginning of a grain, to the end of one or of the object. Raises OSError.

    ``put`` writes a part of the file; header and records are written in the usual way.
    A file that is not of this object, because it is new or its header is damaged, is begun anew.
    """
    header = os.pread(descriptor, HEADER.size, 0)
    if header != identity.header:
        if header:  # or it is new, and others may be at it already: they may have begun since we looked
            os.ftruncate(descriptor, 0)
        direct_io.put(descriptor, identity.header, 0)
    first, mark = start // BLOCK, PROVEN if proven else MARK
    records = b"".join(
        RECORD.pack(mark, _checksum(identity, number, mark, data[place : place + BLOCK]))
        for number, place in enumerate(range(0, len(data), BLOCK), first)
    )
    put(descriptor, data, identity.data_at + start)
    direct_io.put(descriptor, records, HEADER.size + first * RECORD.size)


def forget(descriptor: int, identity: Identity, grain: int) -> None:
    """Let ``grain`` count as not kept. Raises OSError."""
    if _is_of(descriptor, identity):
        direct_io.put(descriptor, bytes(RECORD.size), HEADER.size + grain * RECORD.size)


def _up(number: int, unit: int) -> int:
    return -(-number // unit) * unit


def _is_of(descriptor: int, identity: Identity) -> bool:
    return os.pread(descriptor, HEADER.size, 0) == identity.header


def _checksum(identity: Identity, number: int, mark: int, data: memoryview) -> int:
    where = PLACE.pack(identity.digest, number, mark)
    return xxh3_64_intdigest(data, xxh3_64_intdigest(where))
