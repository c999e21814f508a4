"""Check the sources of an entry before restic starts: restic skips missing ones and reports success."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from rwm.config import BackupConfig

MOUNTS = Path("/proc/self/mountinfo")

_PATTERN = re.compile(r"[*?\[]")
_OCTAL = re.compile(r"\\([0-7]{3})")  # how mountinfo writes blanks and backslashes: proc_pid_mountinfo(5)


def missing_sources(sources: Iterable[str]) -> list[str]:
    """One text for each source that does not exist or cannot be examined, with the reason."""
    return [f"{source}: {why}" for source in sources if (why := _why_missing(source))]


def unmet_requirement(backup: BackupConfig) -> str:
    """Why the entry cannot be backed up now, by its ``require`` and ``mounted``; empty if it can."""
    for path in backup.require:
        if why := _why_missing(path):
            return f"required {path}: {why}"
    if backup.mounted:
        mountpoints = read_mountpoints(MOUNTS.read_bytes())
        for source in backup.filesdirs:
            if not is_mounted(os.path.realpath(source), mountpoints):
                return f"{source} is not on a mounted file system of its own"
    return ""


def _why_missing(path: str) -> str:
    try:
        os.lstat(path)
    except FileNotFoundError:
        if _PATTERN.search(path):
            return "does not exist (patterns are not expanded: name the directory, and use excludes)"
        return "does not exist"
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)
    return ""


def is_mounted(path: str, mountpoints: dict[str, str]) -> bool:
    """Whether ``path`` lies on a mount other than the root. ``mountpoints``: type of the topmost mount by its path.

    An automount point that mounted nothing does not count.
    """
    while path not in mountpoints and path != "/":
        path = path.rpartition("/")[0] or "/"
    return path != "/" and mountpoints[path] != "autofs"


def read_mountpoints(mountinfo: bytes) -> dict[str, str]:
    """Path and type of the file systems of ``/proc/self/mountinfo``; a later mount hides an earlier one."""
    mountpoints = {}
    for line in os.fsdecode(mountinfo).splitlines():
        fields, _, rest = line.partition(" - ")
        path = _OCTAL.sub(lambda match: chr(int(match[1], 8)), fields.split(" ")[4])
        mountpoints[path] = rest.split(" ")[0]
    return mountpoints
