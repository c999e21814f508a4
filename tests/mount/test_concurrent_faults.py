"""Many readers of a mount over a faulty network: every byte is right, and everything can be read in the end."""

from __future__ import annotations

import errno
import os
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from bench.proxy import (
    Action,
    Close,
    Flip,
    IgnoreRange,
    Lengthen,
    Proxy,
    Reset,
    Rule,
    Shorten,
    Stall,
    Status,
    Wrong,
    WrongRange,
    WrongVersion,
    matching,
)
from tests.mount.foreground import SHORT_TIMEOUTS, started
from tests.mount.test_command import Place
from tests.mount.test_model import MIB, SIZES, content, pack
from tests.servers import Server

READERS = 6
READS = 12
FAULTS = 40
FILES = dict(
    [(f"plain/{size}", content(size, str(size))) for size in SIZES]
    + [pack(size, seed) for size in SIZES for seed in "12"]
)
SMALL_PACK = "|".join(key for key, data in FILES.items() if key.startswith("data/") and len(data) <= MIB // 4)
"""What is fetched whole whatever the buffer, so that it is proven before a byte of it is handed out."""

READS_OBJECTS = matching("GET", "/(plain|data)/")
TRANSIENT: list[Action] = [
    Status(503, "SlowDown"),
    Status(500, "InternalError"),
    Status(200, content=b""),
    Reset(),
    Reset(70_000),
    Close(),
    Close(1000),
    Stall(),
    Stall(100_000),
    Stall(seconds=0.1),
    Shorten(1),
    Lengthen(3),
    IgnoreRange(),
    WrongRange(1),
    WrongVersion("other"),
]
PROVEN: list[Action] = [Wrong(), Flip(0)]
MOUNTS = {
    "little memory, one connection": ("latest", "1M", "1", "0"),
    "little memory, disk cache": ("latest", "1M", "3", "8M"),
    "all states, disk cache": (None, "8M", "4", "32M"),
    "much of everything": ("latest", "64M", "16", "256M"),
}


@pytest.fixture(scope="module")
def proxy(seaweedfs: Server) -> Iterator[Proxy]:
    with Proxy(seaweedfs.endpoint, latency=0.002, keys=seaweedfs.accounts["admin"]) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def place(seaweedfs: Server, proxy: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A bucket with the files, which the mounts reach through the proxy."""
    place = Place(replace(seaweedfs, endpoint=proxy.url), tmp_path_factory.mktemp("faults"))
    place.put(FILES)
    place.capture()
    return place


def faults(proxy: Proxy, draw: random.Random) -> None:
    """Add a fault for some of the next requests."""
    for _ in range(FAULTS):
        after = draw.randrange(FAULTS * 3)
        if draw.random() < 0.2:
            proxy.add(Rule(draw.choice(PROVEN), matching("GET", SMALL_PACK), 1, after // 10))
        else:
            proxy.add(Rule(draw.choice(TRANSIENT), READS_OBJECTS, 1, after))


def pread(descriptor: int, size: int, offset: int) -> bytes:
    """Read the whole range, up to the end of the file; failed reads are repeated while there are faults.

    The kernel gives what came before a part that failed, and the error when it is asked for that part.
    """
    data, failures = b"", 0
    while len(data) < size:
        try:
            part = os.pread(descriptor, size - len(data), offset + len(data))
        except OSError as error:
            assert error.errno == errno.EIO, "restic would take anything else for an answer"
            failures += 1
            assert failures <= FAULTS, "it has failed more often than there are faults"
            time.sleep(0.1)  # the mount does not try again at once what took long to fail
            continue
        if not part:
            break
        data += part
    return data


def reader(root: Path, seed: int) -> list[str]:
    """Read random ranges, past the page cache, and return what was wrong."""
    draw, wrong = random.Random(seed), []
    for _ in range(READS):
        key, data = draw.choice(list(FILES.items()))
        flags = draw.choice([os.O_RDONLY, os.O_RDONLY | os.O_DIRECT])
        descriptor = os.open(root / key, flags)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            offset = draw.choice([0, draw.randrange(len(data) + 1), max(0, len(data) - 70_000)])
            for _ in range(draw.choice([1, 2, 5])):
                size = draw.choice([1, 4096, 65_536, 1 << 18, MIB, len(data) + 1])
                if pread(descriptor, size, offset) != data[offset : offset + size]:
                    wrong.append(f"{key}: {size} bytes from {offset}, flags {flags:o}")
                offset += size
        finally:
            os.close(descriptor)
    return wrong


@pytest.mark.parametrize("mount", MOUNTS.values(), ids=MOUNTS)
def test_all_bytes_are_right_and_readable_after_faults(
    place: Place, proxy: Proxy, mount: tuple[str | None, str, str, str], tmp_path: Path
) -> None:
    at, buffer, connections, cache = mount
    words = ["--buffer-size", buffer, "--connections", connections, "--cache-size", cache]
    words += ["--cache-dir", str(tmp_path / "cache")]
    proxy.reset_traffic()
    with started(place, *words, at=at, program=SHORT_TIMEOUTS) as filesystem:
        root = filesystem.path / ("" if at else "latest")
        for seed in range(2):
            faults(proxy, random.Random(seed))
            with ThreadPoolExecutor(READERS) as pool:
                seeds = range(seed * READERS, (seed + 1) * READERS)
                assert [wrong for found in pool.map(partial(reader, root), seeds) for wrong in found] == []
            proxy.clear()
        met = {seen.fault for seen in proxy.requests()}
        assert len(met) > 5, f"hardly any fault was met: {met}"
        for key, data in FILES.items():
            assert (root / key).read_bytes() == data, key
        filesystem.process.terminate()
        assert filesystem.ended() == 0
