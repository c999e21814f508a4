"""The directory of the disk cache: private to the user, one file for each object version.

::

    <directory>/blocks/CACHEDIR.TAG    tells backup programs to exclude the directory
    <directory>/blocks/lock            flock of the process that evicts
    <directory>/blocks/<2>/<64 hex>    a block file, in a shard named after the first two digits of its name

The modification time of a block file is the time of its last use, to a minute. Other files in the directory are left
alone, and symbolic links in it are not followed.
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
HINT = "choose another directory with --cache-dir or cache_dir, or disable the cache with a cache size of 0"

_SHARD = re.compile(r"[0-9a-f]{2}")
_NAME = re.compile(r"[0-9a-f]{64}")
_SAFE = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # the open of a FIFO must not block
_PRIVATE = 0o600


class CacheFile(NamedTuple):
    """A block file. Sorts by last use."""

    used_at: int
    """Time of the last use, in nanoseconds since the epoch."""

    size: int
    """Bytes allocated on disk."""

    name: str
    """64 hexadecimal digits."""


def prepare(directory: Path) -> Path:
    """Create the directory where it is missing; return the path of its blocks.

    Raises ConfigError if others can write to it, or it cannot be created.
    """
    blocks = directory / BLOCKS
    try:
        for path in (directory, blocks):
            make_private_directory(path, hint=HINT)
    except ConfigError as error:
        raise ConfigError(f"disk cache: {error.message}", hint=error.hint) from error.__cause__
    _check_private(blocks)
    with suppress(OSError):  # the disk may be full or read-only; the tag is not essential
        descriptor = os.open(blocks / TAG, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFE, _PRIVATE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(TAG_TEXT)
    return blocks


def find(directory: Path) -> Path | None:
    """The path of its blocks, None if the directory is missing. Raises ConfigError if others can write to it."""
    blocks = directory / BLOCKS
    try:
        blocks.lstat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"disk cache: directory {directory}: {error.strerror}", hint=HINT) from error
    _check_private(blocks)
    return blocks


def _check_private(blocks: Path) -> None:
    """Raise ConfigError if others can write to the directory or its blocks."""
    for path, owners in ((blocks.parent, {os.geteuid(), 0}), (blocks, {os.geteuid()})):
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in owners:
            problem = "is not a directory, is a symbolic link, or belongs to another user"
        elif found.st_mode & 0o022:
            problem = f"can be written to by others (mode {stat.S_IMODE(found.st_mode):04o})"
        else:
            continue
        raise ConfigError(f"disk cache: {path} {problem}", hint=HINT)


@contextmanager
def open_file(blocks: Path, name: str, flags: int) -> Iterator[tuple[int, os.stat_result]]:
    """Open a block file: its descriptor and its stat result. Raises OSError, also for what the cache did not create."""
    with _shard(blocks, name[:2]) as shard:
        descriptor = os.open(name, flags | _SAFE, _PRIVATE, dir_fd=shard)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            raise OSError(errno.ENXIO, "not a file of the disk cache")
        yield descriptor, found
    finally:
        os.close(descriptor)


def has_shard(blocks: Path, name: str) -> bool:
    """Whether the shard for a file of that name exists, or anything else at its path. Raises OSError."""
    try:
        (blocks / name[:2]).lstat()
    except FileNotFoundError:
        return False
    return True


def make_shard(blocks: Path, name: str) -> None:
    """Create the shard for a file of that name. Raises OSError."""
    (blocks / name[:2]).mkdir(mode=0o700, exist_ok=True)


def scan(blocks: Path) -> Iterator[CacheFile]:
    """All block files, in no particular order; those removed during the scan are skipped. Raises OSError."""
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


def files_to_evict(files: list[CacheFile], limit: int) -> list[CacheFile]:
    """The least recently used files whose removal leaves at most ``limit`` bytes. Pure."""
    total = sum(file.size for file in files)
    evicted = []
    for file in sorted(files):
        if total <= limit:
            break
        evicted.append(file)
        total -= file.size
    return evicted


def remove(blocks: Path, name: str) -> bool:
    """Remove a block file, even while it is read or written; False if there is none. Raises OSError."""
    try:
        with _shard(blocks, name[:2]) as shard:
            os.unlink(name, dir_fd=shard)
    except FileNotFoundError:
        return False
    return True


@contextmanager
def _shard(blocks: Path, name: str, flags: int = os.O_PATH) -> Iterator[int]:
    """Open a shard without following symbolic links."""
    flags |= os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    parent = os.open(blocks, flags)
    try:
        descriptor = os.open(name, flags, dir_fd=parent)
    finally:
        os.close(parent)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _names(directory: Path | int) -> list[str]:
    return os.listdir(directory)  # noqa: PTH208 - pathlib cannot list a descriptor


def cache_usage(directory: Path) -> tuple[int, int]:
    """Bytes on disk and number of files of the cache in ``directory``. Raises OSError, ConfigError."""
    blocks = find(directory)
    sizes = [file.size for file in scan(blocks)] if blocks else []
    return sum(sizes), len(sizes)


def empty_cache(directory: Path) -> tuple[int, int]:
    """Remove all files of the cache in ``directory``; bytes and number removed. Raises OSError, ConfigError."""
    count = size = 0
    blocks = find(directory)
    for file in scan(blocks) if blocks else ():
        if remove(directory / BLOCKS, file.name):
            count, size = count + 1, size + file.size
    return size, count
