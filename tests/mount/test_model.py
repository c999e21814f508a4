"""A mount compared with a dictionary of keys and bytes, for random states, reads and faults.

Index, tree, FUSE handlers, reader and disk cache are real; kernel and S3 are simulated. ``test_concurrent_faults`` runs
with the real ones.
"""

from __future__ import annotations

import errno
import hashlib
import os
import random
import stat
import tempfile
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

import pyfuse3
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from rwm.errors import BadResponse, Unreachable
from rwm.index import Index
from rwm.location import Location
from rwm.model import Entry, StateInfo
from rwm.restic.content import expected_sha256
from rwmfs.cache import BLOCK
from rwmfs.cache.store import DiskCache
from rwmfs.fuse.operations import Operations
from rwmfs.read.counters import Counters
from rwmfs.read.fetcher import Fetcher
from rwmfs.read.reader import Reader
from rwmfs.read.request_size import MIN_REQUEST_SIZE as PART
from rwmfs.tree.all_states import AllStates
from rwmfs.tree.contents import Contents, SingleState
from rwmfs.tree.inodes import InodeTree
from rwmfs.tree.locks_dir import LocksDirs
from tests.unit.kernel import CONTEXT, Kernel
from tests.unit.states import BUCKET, mounted_paths, state

MIB = 1 << 20
DATA = random.Random(3).randbytes(10 * MIB)
SIZES = [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 4 * BLOCK, PART - 1, PART, PART + 1, 2 * PART + 777]
EDGES = [0, BLOCK, 4 * BLOCK, PART, 2 * PART]
Files = dict[str, bytes]


def content(size: int, seed: str) -> bytes:
    """``size`` bytes determined by the seed."""
    start = sum(seed.encode()) * 37 % MIB
    return DATA[start : start + size]


def pack(size: int, seed: str) -> tuple[str, bytes]:
    """A pack of restic, whose name is the hash of its content."""
    data = content(size, seed)
    name = hashlib.sha256(data).hexdigest()
    return f"data/{name[:2]}/{name}", data


names = st.sampled_from(["a", "b", "é\n", "..", "", "n\0", "x" * 255, "x" * 256, "locks", "data", "ff"])
keys = st.lists(names, min_size=1, max_size=3).map("/".join).filter(bool)
drawn = st.lists(st.tuples(st.one_of(keys, st.integers(1, 3)), st.sampled_from(SIZES)), max_size=12)
"""Keys with their sizes; a number stands for a pack."""

PREFIXES = ["", "a/", "a/b/", "data/", "locks/", "a/data/ff/"]
REPOSITORY = ["config", "keys/k", "data/ff/p", "locks/l"]
repositories = st.lists(
    st.tuples(st.sampled_from(PREFIXES), st.sets(st.sampled_from(REPOSITORY), min_size=2)), max_size=4
)
"""Prefixes of repositories, one within another's tree too, with what they have of REPOSITORY: not always all of it."""


def made(drawn: list[tuple[str | int, int]], repositories: list[tuple[str, set[str]]]) -> Files:
    """The files of an example."""
    files = [pack(size, str(key)) if isinstance(key, int) else (key, content(size, key)) for key, size in drawn]
    files += [(prefix + name, content(1, name)) for prefix, names in repositories for name in names]
    return dict(files)


places = st.one_of(st.sampled_from(EDGES), st.floats(0, 1))
Read = tuple[int, float, int, int]
reads = st.tuples(
    st.integers(0, 12), places, st.integers(-2, 2), st.sampled_from([1, 4096, BLOCK, 128 << 10, MIB, 5 * MIB])
)
plans = st.lists(st.lists(reads, max_size=6), min_size=1, max_size=4)
"""For each reader the number of a file, from where on it reads (bytes, or a part of its size), and how much."""


@dataclass(frozen=True)
class Settings:
    """Settings of a mount. Sizes are in bytes; without ``room`` there is no disk cache."""

    memory: int
    connections: int
    room: int
    browse: bool


mounts = st.builds(
    Settings,
    memory=st.sampled_from([MIB, 20 * MIB, 64 * MIB]),
    connections=st.sampled_from([1, 2, 16]),
    room=st.sampled_from([0, 2 * MIB, 64 * MIB]),
    browse=st.booleans(),
)
faults = st.lists(st.sampled_from(["", "silent", "bad", "short", "wrong", "crash"]), max_size=20)


class Bucket:
    """The objects of the model, with a fault for each of the first requests."""

    bucket = BUCKET

    def __init__(self, files: Files, faults: list[str], provable: Callable[[str], bool]) -> None:
        self._files = files
        self._faults = iter(faults)
        self._provable = provable
        self._lock = threading.Lock()

    def read_range(
        self,
        key: str,
        version_id: str,
        start: int,
        stop: int,
        wanted: Callable[[], bool] = lambda: True,
        etag: str = "",
    ) -> bytes:
        with self._lock:
            fault = next(self._faults, "")
        assert version_id == version_of(key)
        data = self._files[key][start:stop]
        if fault == "silent":
            raise Unreachable("no answer")
        if fault == "bad":
            raise BadResponse("another version")
        if fault == "crash":
            raise RuntimeError("nobody foresaw this")
        if fault == "short":
            return data[:-1]
        if fault == "wrong" and self._provable(key):
            return bytes([data[0] ^ 1]) + data[1:]
        return data


def version_of(key: str) -> str:
    return hashlib.md5(key.encode()).hexdigest()


def recorded(index: Index, contents: Files) -> StateInfo:
    """A state of these files."""
    entries = sorted(Entry(key, version_of(key), len(data), "etag", 1000) for key, data in contents.items())
    info = state(1, entries)
    index.record(info, entries)
    return info


def shown_files(contents: Files, prefix: str) -> Files:
    """What a mount of a prefix has to show: all keys below it but hidden ones and those in a locks/ in memory."""
    files, _ = mounted_paths(contents, prefix)
    return {path: contents[prefix + path] for path in files}


def walked(contents: Files, prefix: str) -> dict[str, int | None]:
    """Every path with its size, directories with None."""
    files, directories = mounted_paths(contents, prefix)
    return {path: len(contents[prefix + path]) for path in files} | dict.fromkeys(directories)


class Client(Kernel):
    """Programs on a mount, in the directory ``root`` of it."""

    def __init__(self, ops: Operations, patch: pytest.MonkeyPatch, root: str) -> None:
        super().__init__(ops, patch)
        self.root = root

    async def walk(self, path: str = "") -> dict[str, int | None]:
        """The same as ``walked``, through the mount."""
        found: dict[str, int | None] = {}
        for name in await self.names(f"{self.root}/{path}".strip("/")):
            here = f"{path}/{name}".lstrip("/")
            attributes = await self.lookup(f"{self.root}/{here}".lstrip("/"))
            if stat.S_ISDIR(attributes.st_mode):
                found |= {here: None} | await self.walk(here)
            else:
                found[here] = attributes.st_size
        return found

    async def reader(self, files: Files, plan: list[Read], tries: int) -> None:
        """Execute the plan of reads, each file opened once; failed reads are repeated."""
        keys, handles = sorted(files, key=lambda key: -len(files[key])), dict[str, int]()
        for number, place, shift, size in plan if keys else []:
            key = keys[number % len(keys)]
            offset = max(0, shift + int(place if isinstance(place, int) else place * len(files[key])))
            if key not in handles:
                inode = (await self.lookup(f"{self.root}/{key}".lstrip("/"))).st_ino
                handles[key] = (await self.ops.open(inode, os.O_RDONLY, CONTEXT)).fh
            assert await self._read(handles[key], offset, size, tries) == files[key][offset : offset + size]
        for handle in handles.values():
            await self.ops.release(handle)

    async def _read(self, handle: int, offset: int, size: int, tries: int) -> bytes:
        while True:
            try:
                return bytes(await self.ops.read(handle, offset, size))
            except pyfuse3.FUSEError as error:
                assert error.errno == errno.EIO, "restic would take anything else for an answer"
                assert tries > 0, "it has failed more often than S3 has"
                tries -= 1


@settings(max_examples=90, deadline=None)
@given(drawn, repositories, st.sampled_from(PREFIXES), mounts, plans, plans, faults, st.booleans())
def test_the_mount_equals_the_model(
    drawn: list[tuple[str | int, int]],
    repositories: list[tuple[str, set[str]]],
    prefix: str,
    options: Settings,
    before: list[list[Read]],
    after: list[list[Read]],
    faults: list[str],
    damage: bool,
) -> None:
    """Two mounts use the same disk cache, which may be damaged in between."""
    contents = made(drawn, repositories)
    files = shown_files(contents, prefix)
    # Only objects that are fetched whole are verified before a byte of them is returned.
    whole = min(PART, options.memory // 4)
    bucket = Bucket(contents, faults, lambda key: expected_sha256(key) is not None and len(contents[key]) <= whole)

    async def run(directory: Path, patch: pytest.MonkeyPatch, plans: list[list[Read]]) -> None:
        with Index.open(directory / "index", readonly=True) as index:
            info = index.resolve("latest", Location(BUCKET))
            single = SingleState(index.tree(info, prefix), index.trust)
            shown = AllStates(index, Location(BUCKET, prefix)) if options.browse else single
            async with handlers(shown, bucket, options, directory) as ops:
                client = Client(ops, patch, f"ids/{info.id}" if options.browse else "")
                async with trio.open_nursery() as nursery:
                    for plan in plans:
                        nursery.start_soon(client.reader, files, plan, len(faults))
                assert await client.walk() == walked(contents, prefix)

    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr("rwmfs.read.fetcher._backoff", lambda: repeat(0.0))
        patch.setattr("rwmfs.read.reader.FAIL_FAST_SECONDS", float("inf"))
        with Index.open(Path(name) / "index") as index:
            recorded(index, contents)
        trio.run(run, Path(name), patch, before)
        if damage:
            for path in cached(Path(name)):
                flip(path)
        trio.run(run, Path(name), patch, before + after)


@asynccontextmanager
async def handlers(shown: Contents, bucket: Bucket, options: Settings, directory: Path) -> AsyncIterator[Operations]:
    """Handlers as a session builds them."""
    counters = Counters()
    disk = DiskCache(directory / "cache", options.room, "http://server", BUCKET) if options.room else None
    fetcher = Fetcher(bucket, counters, disk, options.connections)
    async with trio.open_nursery() as nursery:
        order = shown.upload_order
        reader = Reader(fetcher, options.memory, nursery, order)
        yield Operations(InodeTree(shown), LocksDirs(), reader)


def cached(directory: Path) -> list[Path]:
    """The files of the disk cache."""
    return list((directory / "cache" / "blocks").glob("??/*"))


def flip(path: Path) -> None:
    """Change a byte in the middle of the file, which is content."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
