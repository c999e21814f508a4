"""Empty the kernel's caches before each run, so that no run profits from an earlier one."""

from __future__ import annotations

import os
from pathlib import Path

_DROP = Path("/proc/sys/vm/drop_caches")
_PAGES_AND_DENTRIES = "3\n"


def drop() -> bool:
    """Write back dirty pages, then drop page cache, dentries and inodes. False if not permitted."""
    os.sync()
    try:
        _DROP.write_text(_PAGES_AND_DENTRIES)
    except OSError:
        return False
    return True


def note() -> str:
    """The note below a table."""
    done = "were emptied before each run" if drop() else "were not emptied (not root): repeated reads are faster"
    return f"the kernel's caches {done}"
