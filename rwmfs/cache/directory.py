"""The directory of the disk cache: private, one file for each object version, the least recently used leave first.

::

    <directory>/blocks/CACHEDIR.TAG    what tells backup programs to leave it out
    <directory>/blocks/lock            held by the process that makes room
    <directory>/blocks/<2>/<64 hex>    a block file, in the directory that its name begins with

When a file was used last is its time of modification, kept to a minute. All else in the directory is left alone, and
no symbolic link in it is followed.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from rwm.errors import ConfigError
from rwm.private import make_private_directory

BLOCKS = "blocks"
TAG = "CACHEDIR.TAG"
TAG_TEXT = b"Signature: 8a477f597d28d172789f06886806bc55\n# The disk cache of rwmfs. See https://bford.info/cachedir/\n"
HINT = "name another one with --cache-dir or cache_dir, or do without: a cache size of 0"

_SHARD = re.compile(r"[0-9a-f]{2}")
_NAME = re.compile(r"[0-9a-f]{64}")
_SAFE = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a FIFO must not hold us up
_PRIVATE = 0o600


class CacheFile(NamedTuple):
    """A file of the cache. ``size`` is what it takes of the disk, in bytes; ``used`` is a time in nanoseconds."""

    used: int
    size: int
    name: str


def prepare(directory: Path) -> Path:
    """Make the directory as far as it is missing; the path of its blocks.

    Raises ConfigError when somebody else could write to it, or it cannot be made.
    """
    blocks = directory / BLOCKS
    try:
        for path in (directory, blocks):
            make_private_directory(path)
    except ConfigError as error:
        raise ConfigError(f"disk cache: {error.message}", hint=HINT) from error.__cause__
    _must_be_private(blocks)
    with suppress(OSError):  # a disk that is full or read-only: the cache works without
        descriptor = os.open(blocks / TAG, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFE, _PRIVATE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(TAG_TEXT)
    return blocks


def find(directory: Path) -> Path | None:
    """The path of its blocks, None when there are none. Raises ConfigError when somebody else could write there."""
    blocks = directory / BLOCKS
    try:
        blocks.lstat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"disk cache: directory {directory}: {error.strerror}", hint=HINT) from error
    _must_be_private(blocks)
    return blocks


def _must_be_private(blocks: Path) -> None:
    for path, owners in ((blocks.parent, {os.geteuid(), 0}), (blocks, {os.geteuid()})):
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in owners:
            problem = "is no directory, a symbolic link, or belongs to another user"
        elif found.st_mode & 0o022:
            problem = f"can be written to by others (mode {stat.S_IMODE(found.st_mode):04o})"
        else:
            continue
        raise ConfigError(f"disk cache: {path} {problem}", hint=HINT)


@contextmanager
def opened(blocks: Path, name: str, flags: int) -> Iterator[tuple[int, os.stat_result]]:
    """The descriptor and the status of a file of the cache. Raises OSError, also when it is not a file of ours."""
    with _shard(blocks, name[:2]) as shard:
        descriptor = os.open(name, flags | _SAFE, _PRIVATE, dir_fd=shard)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            raise OSError(errno.ENXIO, "not a file of the cache")
        yield descriptor, found
    finally:
        os.close(descriptor)


def has_shard(blocks: Path, name: str) -> bool:
    """Whether the directory for a file of that name is there, or anything else in its place. Raises OSError."""
    try:
        (blocks / name[:2]).lstat()
    except FileNotFoundError:
        return False
    return True


def make_shard(blocks: Path, name: str) -> None:
    """Make the directory for a file of that name. Raises OSError."""
    (blocks / name[:2]).mkdir(mode=0o700, exist_ok=True)


def scan(blocks: Path) -> Iterator[CacheFile]:
    """Every file of the cache, in no order. Raises OSError; what vanishes meanwhile is passed over."""
    for shard in _names(blocks):
        if not _SHARD.fullmatch(shard):
            continue
        with suppress(FileNotFoundError, NotADirectoryError), _shard(blocks, shard, os.O_RDONLY) as descriptor:
            for name in _names(descriptor):
                if _NAME.fullmatch(name) and name.startswith(shard):
                    with suppress(FileNotFoundError):
                        found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                        if stat.S_ISREG(found.st_mode):
                            yield CacheFile(found.st_mtime_ns, found.st_blocks * 512, name)


def surplus(files: list[CacheFile], room: int) -> list[CacheFile]:
    """Which files have to leave so that the others fit into ``room`` bytes: the least recently used. Pure."""
    total = sum(file.size for file in files)
    leaving = []
    for file in sorted(files):
        if total <= room:
            break
        leaving.append(file)
        total -= file.size
    return leaving


def remove(blocks: Path, name: str) -> bool:
    """Remove a file, whoever reads or writes it; False if there is none. Raises OSError."""
    try:
        with _shard(blocks, name[:2]) as shard:
            os.unlink(name, dir_fd=shard)
    except FileNotFoundError:
        return False
    return True


@contextmanager
def _shard(blocks: Path, name: str, flags: int = os.O_PATH) -> Iterator[int]:
    flags |= os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    above = os.open(blocks, flags)
    try:
        descriptor = os.open(name, flags, dir_fd=above)
    finally:
        os.close(above)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _names(directory: Path | int) -> list[str]:
    return os.listdir(directory)  # noqa: PTH208 - by descriptor too


def usage(directory: Path) -> tuple[int, int]:
    """Bytes and number of files that the cache in ``directory`` takes. Raises OSError."""
    blocks = find(directory)
    sizes = [file.size for file in scan(blocks)] if blocks else []
    return sum(sizes), len(sizes)


def empty(directory: Path) -> tuple[int, int]:
    """Remove every file of the cache in ``directory``; bytes and number of the removed ones. Raises OSError."""
    count = size = 0
    blocks = find(directory)
    for file in scan(blocks) if blocks else ():
        if remove(directory / BLOCKS, file.name):
            count, size = count + 1, size + file.size
    return size, count
