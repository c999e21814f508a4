"""Objects for the disk cache, each with content derived from its id."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path

from rwmfs.cache.block_file import layout_of
from rwmfs.cache.interface import BLOCK
from rwmfs.cache.store import DiskCache
from rwmfs.object_id import ObjectId

MIB = 1024 * 1024
SERVER = "http://server"
BUCKET = "bucket1"


def version(number: int, size: int = BLOCK) -> ObjectId:
    """An object version; number and size determine its key and its content."""
    return ObjectId(f"data/{number:02x}/{number}", f"v{number}", size, f"etag{number}")


@cache
def content(object: ObjectId) -> bytes:
    """The whole object."""
    return random.Random(repr(object)).randbytes(object.size)


def disk_cache(directory: Path, limit: int = 64 * MIB) -> DiskCache:
    """A disk cache for BUCKET."""
    return DiskCache(directory, limit, SERVER, BUCKET)


def put(cache: DiskCache, object: ObjectId, start: int = 0, stop: int | None = None) -> None:
    """Write a range of an object."""
    cache.write(object, start, memoryview(content(object))[start : object.size if stop is None else stop])


def holds(cache: DiskCache, object: ObjectId, start: int = 0, stop: int | None = None) -> bool:
    """Whether the range is stored; asserts that its bytes are right."""
    stop = object.size if stop is None else stop
    found = cache.read(object, start, stop)
    assert found is None or found.data == content(object)[start:stop]
    return found is not None


def file_of(directory: Path, object: ObjectId) -> Path:
    """The path of the object's file, which may not exist."""
    name = layout_of(SERVER, BUCKET, object).name
    return directory / "blocks" / name[:2] / name


def used(directory: Path) -> int:
    """Bytes allocated on disk for all block files."""
    return sum(path.stat().st_blocks * 512 for path in (directory / "blocks").glob("??/*"))
