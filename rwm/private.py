"""Private directories: mode 0700, owned by us or root."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from rwm.errors import ConfigError


def make_private_directory(path: Path) -> Path:
    """Create ``path`` and its missing parents with mode 0700, and return it.

    Raises ConfigError if that fails, or if ``path`` is a symbolic link or belongs to another user.
    """
    try:
        for missing in [parent for parent in reversed(path.parents) if not parent.exists()]:
            missing.mkdir(mode=0o700, exist_ok=True)  # mkdir(parents=True) ignores the mode for parents
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
    except OSError as error:
        raise ConfigError(
            f"directory {path}: {error.strerror}", hint="set another path in the configuration"
        ) from error
    if stat.S_ISLNK(found.st_mode) or found.st_uid not in (os.geteuid(), 0):
        raise ConfigError(
            f"directory {path} is a symbolic link or belongs to another user",
            hint="set another path in the configuration",
        )
    return path
