"""Mount a state with the program ``rwmfs``, which goes on in the background."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from rwm import process
from rwm.config import Config
from rwm.errors import MountError
from rwm.location import Location
from rwm.model import StateInfo
from rwm.shell import quote

_PROGRAM = "rwmfs"
_OWN_LINE = f"{_PROGRAM}: "
"""What each of its errors begins with."""


def check_mountpoint(path: Path) -> None:
    """Refuse a mountpoint that is in use or has files, before there is any work. A missing one is made later.

    A dead mount there is left to the program, which removes it. Raises MountError.
    """
    try:
        names = os.listdir(path)  # noqa: PTH208 - one call tests existence, type and permission
    except FileNotFoundError:
        return
    except NotADirectoryError:
        raise MountError(f"mountpoint {path} is not a directory") from None
    except PermissionError as error:
        raise MountError(f"mountpoint {path}: {error.strerror}") from None
    except OSError:
        return
    if path.is_mount():
        raise MountError(
            f"something is mounted at {path}", hint=f"if it is a mount of rwmfs: `rwmfs umount {quote(path)}` ends it"
        )
    if names:
        raise MountError(f"mountpoint {path} is not empty", hint="a mount would hide its files: use an empty directory")


def mount_state(config: Config, info: StateInfo, location: Location, mountpoint: Path) -> list[str]:
    """Mount what the state has below the location; make the mountpoint if it is missing. Returns the warnings.

    Raises MountError, with the message and the exit code of the program, and CommandMissing.
    """
    try:
        mountpoint.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MountError(f"mountpoint {mountpoint}: {error.strerror}") from error
    program = process.find_beside_python(_PROGRAM) or process.find_program(_PROGRAM)
    chosen = ["-c", str(config.path)] if config.path else []
    done = process.run([program, *chosen, "mount", str(location), "--at", info.id, str(mountpoint)])
    lines = done.stderr.splitlines()
    if done.returncode:
        raise _mount_error(lines, done.returncode)
    return lines


def _mount_error(lines: Sequence[str], code: int) -> MountError:
    """The error that the program printed last, with its hint and its exit code."""
    found = [number for number, line in enumerate(lines) if line.startswith(_OWN_LINE)]
    why, *hints = lines[found[-1] :] if found else ["the mount process ended"]
    hint = " ".join(line.strip() for line in hints)
    error = MountError(f"the state could not be mounted: {why.removeprefix(_OWN_LINE)}", hint=hint)
    error.exit_code = code if code > 0 else error.exit_code
    return error
