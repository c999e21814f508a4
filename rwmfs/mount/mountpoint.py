"""Mountpoints: find what is mounted there, prepare one for a mount, unmount."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from pathlib import Path
from typing import NamedTuple

from rwm.errors import MountError
from rwm.process import find_program, run
from rwm.shell import quote

FSTYPE = "fuse.rwmfs"
MOUNTINFO = Path("/proc/self/mountinfo")
READ_AHEAD_KIB = 1024


class MountEntry(NamedTuple):
    """A line of /proc/self/mountinfo: filesystem type, source, and device as ``major:minor``."""

    fstype: str
    source: str
    device: str


def mounted_at(path: Path) -> MountEntry | None:
    """The topmost mount exactly at ``path``, which is real and absolute; or None."""
    found = None
    for line in MOUNTINFO.read_text(errors="surrogateescape").splitlines():
        before, _, after = line.partition(" - ")
        fstype, source = after.split(" ")[:2]
        if _unescape(before.split(" ")[4]) == str(path):
            found = MountEntry(fstype, _unescape(source), before.split(" ")[2])
    return found


def prepare_mountpoint(mountpoint: Path) -> Path:
    """Check a mountpoint, unmount a dead mount of rwmfs there, and return its real path; raises MountError."""
    path = _real(mountpoint)
    while is_dead(path):
        _unmount_dead(path)
    try:
        names = os.listdir(path)  # noqa: PTH208 - one call tests existence, type and permission
    except FileNotFoundError:
        raise MountError(f"mountpoint {path} does not exist", hint=f"mkdir -p {quote(path)}") from None
    except NotADirectoryError:
        raise MountError(f"mountpoint {path} is not a directory") from None
    except OSError as error:
        raise MountError(f"mountpoint {path}: {error.strerror}") from None
    mounted = mounted_at(path)
    if mounted is not None and mounted.fstype == FSTYPE:
        raise MountError(f"{mounted.source} is already mounted at {path}", hint=f"`rwmfs umount {quote(path)}` ends it")
    if names:
        raise MountError(f"mountpoint {path} is not empty", hint="a mount would hide its files: use an empty directory")
    if not os.access(path, os.W_OK):
        raise MountError(f"mountpoint {path} is not writable for you, which mounting requires")
    return path


def is_dead(path: Path) -> bool:
    """Whether the process of the mount at ``path`` is gone, so that everything there fails with ENOTCONN.

    statfs always asks the process; stat may be answered from the kernel's cache.
    """
    try:
        os.statvfs(path)
    except OSError as error:
        return error.errno == errno.ENOTCONN
    return False


def raise_read_ahead(path: Path) -> None:
    """Raise the kernel's read-ahead for the mount at ``path``, which enlarges its requests; only root can.

    Makes a restore a tenth faster. To be called after the mount's first answer, or the kernel overwrites the value.
    """
    mounted = mounted_at(path)
    if mounted is not None:
        with contextlib.suppress(OSError):
            Path(f"/sys/class/bdi/{mounted.device}/read_ahead_kb").write_text(str(READ_AHEAD_KIB))


def unmount(mountpoint: Path) -> None:
    """Unmount the rwmfs at ``mountpoint``, dead or alive; raises MountError if there is none, or it is in use."""
    path = _real(mountpoint)
    mounted = mounted_at(path)
    if mounted is None or mounted.fstype != FSTYPE:
        raise MountError(
            f"{mounted.fstype} is mounted at {path}, not rwmfs" if mounted else f"nothing is mounted at {path}"
        )
    _fusermount(path, lazy=is_dead(path))


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _unmount_dead(path: Path) -> None:
    mounted = mounted_at(path)
    if mounted is None or mounted.fstype != FSTYPE:
        what = f"the {mounted.fstype} mount there" if mounted else "a mount above it"
        raise MountError(f"mountpoint {path} is dead: the process of {what} has ended", hint=f"umount -l {path}")
    _fusermount(path, lazy=True)


def _fusermount(path: Path, *, lazy: bool) -> None:
    result = run([find_program("fusermount3"), "-uz" if lazy else "-u", "--", str(path)])
    if result.returncode == 0:
        return
    if "busy" in result.stderr.lower():
        raise MountError(
            f"cannot unmount {path}: it is in use",
            hint=f"a program has open files or its working directory there; list it with: fuser -vm {path}",
        )
    lines = result.stderr.strip().splitlines() or [f"fusermount3 ended with {result.returncode}"]
    raise MountError(f"cannot unmount {path}: {lines[-1]}")


def _unescape(field: str) -> str:
    """Decode the octal escapes of mountinfo: ``\\040`` is a space."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)
