"""Private directories: 0700, and nobody else's."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from rwm.errors import ConfigError


def make_private_directory(path: Path) -> Path:
    """Make ``path`` and what is missing above it, 0700; refuse one that is somebody else's or a symbolic link.

    Raises ConfigError.
    """
    try:
        for missing in [above for above in reversed(path.parents) if not above.exists()]:
            missing.mkdir(mode=0o700, exist_ok=True)  # mkdir with parents=True would make these with the umask alone
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
    except OSError as error:
        raise ConfigError(
            f"directory {path}: {error.strerror}", hint="set another path in the configuration"
        ) from error
    if stat.S_ISLNK(found.st_mode) or found.st_uid not in (os.geteuid(), 0):
        raise ConfigError(f"directory {path} is a symbolic link or belongs to another user", hint="use another path")
    return path
