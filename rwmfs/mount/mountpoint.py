"""Places to mount at: what is there now, whether a mount can go there, and how it is ended."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from pathlib import Path
from typing import NamedTuple

from rwm.errors import MountError
from rwm.process import find, run

FSTYPE = "fuse.rwmfs"
FUSE = Path("/dev/fuse")
READ_AHEAD_KIB = 1024
MOUNTINFO = Path("/proc/self/mountinfo")


class Mounted(NamedTuple):
    """What is mounted at a place: filesystem type, source and device (``major:minor``), as ``findmnt`` shows them."""

    fstype: str
    source: str
    device: str


def mounted_at(path: Path) -> Mounted | None:
    """What is mounted exactly there (the topmost of several), or None. ``path`` is real and absolute."""
    found = None
    for line in MOUNTINFO.read_text(errors="surrogateescape").splitlines():
        before, _, after = line.partition(" - ")
        fstype, source = after.split(" ")[:2]
        if _unescape(before.split(" ")[4]) == str(path):
            found = Mounted(fstype, _unescape(source), before.split(" ")[2])
    return found


def prepare_mountpoint(mountpoint: Path) -> Path:
    """The real path of a directory that can be mounted on, freed from a dead mount of ours; raises MountError."""
    path = _real(mountpoint)
    while is_dead(path):
        _end_dead(path)
    try:
        names = os.listdir(path)  # noqa: PTH208 - one call that says whether it is there, a directory, and ours to read
    except FileNotFoundError:
        raise MountError(f"mountpoint {path} does not exist", hint=f"mkdir -p {path}") from None
    except NotADirectoryError:
        raise MountError(f"mountpoint {path} is not a directory") from None
    except OSError as error:
        raise MountError(f"mountpoint {path}: {error.strerror}") from None
    mounted = mounted_at(path)
    if mounted is not None and mounted.fstype == FSTYPE:
        raise MountError(f"{mounted.source} is mounted at {path} already", hint=f"end it with: rwmfs umount {path}")
    if names:
        raise MountError(f"mountpoint {path} is not empty", hint="a mount would hide what is in it: use an empty one")
    if not os.access(path, os.W_OK):
        raise MountError(f"mountpoint {path} is not yours to write, as a mount needs it")
    return path


def is_dead(path: Path) -> bool:
    """Whether the process behind a mount at that place is gone (ENOTCONN), so that nothing there can be used.

    statfs always asks the process; what stat answers, the kernel knows by heart.
    """
    try:
        os.statvfs(path)
    except OSError as error:
        return error.errno == errno.ENOTCONN
    return False


def enlarge_requests(path: Path) -> None:
    """Let the kernel ask the mount at that place for more at a time, if we may: only root may.

    Takes a tenth off a restore. Holds only when the kernel has got its first answer: until then it sets its own.
    """
    mounted = mounted_at(path)
    if mounted is not None:
        with contextlib.suppress(OSError):
            Path(f"/sys/class/bdi/{mounted.device}/read_ahead_kb").write_text(str(READ_AHEAD_KIB))


def fuse_descriptor() -> int:
    """The descriptor by which this process, which has one mount, talks to the kernel; raises MountError."""
    for name in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the one that lists the directory
            if name.readlink() == FUSE:
                return int(name.name)
    raise MountError(f"{FUSE} is not open")


def unmount(mountpoint: Path) -> None:
    """End the mount of rwmfs at that place, dead or alive; raises MountError when there is none, or it is in use."""
    path = _real(mountpoint)
    mounted = mounted_at(path)
    if mounted is None or mounted.fstype != FSTYPE:
        raise MountError(
            f"{mounted.fstype} is mounted at {path}, not rwmfs" if mounted else f"nothing is mounted at {path}"
        )
    _fusermount(path, lazy=is_dead(path))


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _end_dead(path: Path) -> None:
    mounted = mounted_at(path)
    if mounted is None or mounted.fstype != FSTYPE:
        what = mounted.fstype if mounted else "a mount above it"
        raise MountError(f"mountpoint {path} is dead: the process behind {what} is gone", hint=f"umount -l {path}")
    _fusermount(path, lazy=True)


def _fusermount(path: Path, *, lazy: bool) -> None:
    result = run([find("fusermount3"), "-uz" if lazy else "-u", "--", str(path)])
    if result.returncode == 0:
        return
    if "busy" in result.stderr.lower():
        raise MountError(
            f"{path} is in use and stays mounted",
            hint=f"a program has files open or its working directory there; fuser -vm {path} names it",
        )
    lines = result.stderr.strip().splitlines() or [f"fusermount3 ended with {result.returncode}"]
    raise MountError(f"cannot unmount {path}: {lines[-1]}")


def _unescape(field: str) -> str:
    """Undo the octal escapes of /proc: ``\\040`` is a space."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)
