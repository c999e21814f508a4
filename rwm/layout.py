"""Which keys in a bucket are RWM's own, and which directories are restic repositories. Pure.

A repository's root has the file ``config`` beside the directories ``keys/`` and ``data/``, as restic 0.14 to 0.18
create it. RWM keeps its objects below ``rwm/``, and the state files of a prefix below ``PREFIX/rwm/states/``.
"""

from __future__ import annotations

from collections.abc import Collection

OWN_PREFIX = "rwm/"
"""The prefix of RWM's own objects in a bucket; they are never part of a state."""

STATES_PREFIX = OWN_PREFIX + "states/"
"""The prefix of state files, below the prefix of their states."""

_INNER_STATES = "/" + STATES_PREFIX

CONFIG_FILE = "config"
"""The file in the root of a repository."""

REPOSITORY_DIRECTORIES = ("data", "index", "keys", "locks", "snapshots")
"""The directories in the root of a repository."""

REQUIRED_DIRECTORIES = frozenset({"keys", "data"})
"""Those that tell a repository from other directories."""


def is_own_key(key: str) -> bool:
    """Whether the key is one of RWM's own objects: in ``rwm/``, or a state file of a prefix.

    Also of a directory, with its slash.
    """
    return key.startswith(OWN_PREFIX) or _INNER_STATES in key


def is_repository_root(files: Collection[str], directories: Collection[str]) -> bool:
    """Whether a directory with these names (without slashes) is the root of a restic repository."""
    return CONFIG_FILE in files and REQUIRED_DIRECTORIES.issubset(directories)
