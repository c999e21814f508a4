"""Descriptors of this process on files of a test; those of others come and go."""

from __future__ import annotations

from pathlib import Path


def open_descriptors(path: Path) -> int:
    """How many descriptors are open on ``path`` or something below it."""
    targets = (link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink())
    return sum(target.is_relative_to(path) for target in targets)
