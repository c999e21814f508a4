"""Which keys in a bucket are RWM's own, and which directories are restic repositories. Pure.

A repository's root has the file ``config`` beside the directories ``keys/`` and ``data/``, as restic 0.14 to 0.18
create it. On S3 there is no ``data/`` before the first backup: until then the name of a key file tells it from others.
RWM keeps its objects below ``rwm/``, and the state files of a prefix below ``PREFIX/rwm/states/``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

OWN_PREFIX = "rwm/"
"""The prefix of RWM's own objects in a bucket; they are never part of a state."""

STATES_PREFIX = OWN_PREFIX + "states/"
"""The prefix of state files, below the prefix of their states."""

ADMIN_PREFIX = OWN_PREFIX + "admin/"
"""The prefix of what only the admin may write; the policy of a protected bucket denies it to every user."""

OPERATIONS_PREFIX = ADMIN_PREFIX + "operations/"
"""The prefix of operation records, in the root of a bucket."""

FREEZES_PREFIX = ADMIN_PREFIX + "freezes/"
"""The prefix of the records of freezes and thaws, in the root of a bucket; for people, RWM does not read them."""

REPORTS_PREFIX = ADMIN_PREFIX + "reports/"
"""The prefix of reports of prunes, in the root of a bucket."""

CLOCK_KEY = STATES_PREFIX + "clock"
"""The key of the multipart upload that measures the server's clock; it is never completed."""

_INNER_STATES = "/" + STATES_PREFIX

CONFIG_FILE = "config"
"""The file in the root of a repository."""

REPOSITORY_DIRECTORIES = ("data", "index", "keys", "locks", "snapshots")
"""The directories in the root of a repository."""

KEYS_DIRECTORY = "keys"

REQUIRED_DIRECTORIES = frozenset({KEYS_DIRECTORY, "data"})
"""Those that tell a repository from other directories."""

_KEY_FILE = re.compile("[0-9a-f]{64}", re.ASCII)


def is_own_key(key: str) -> bool:
    """Whether the key is one of RWM's own objects: in ``rwm/``, or a state file of a prefix.

    Also of a directory, with its slash.
    """
    return key.startswith(OWN_PREFIX) or _INNER_STATES in key


def is_restic_name(name: str) -> bool:
    """Whether a name below the root of a repository has the form of those that restic gives: ``data/xx/y``, ``keys/y``.

    Not ``data/x/y/z`` or ``data/xx/config``, which may be of another repository inside.
    """
    directory, slash, rest = name.partition("/")
    if not slash:
        return True
    if directory == "data" and rest[2:3] == "/":
        rest = rest[3:]
    return directory in REPOSITORY_DIRECTORIES and "/" not in rest and rest not in ("", CONFIG_FILE)


def is_key_file(name: str) -> bool:
    """Whether a name in ``keys/`` is one that restic gives to a key file."""
    return _KEY_FILE.fullmatch(name) is not None


def is_repository_root(files: Collection[str], directories: Collection[str], *, has_key_file: bool = False) -> bool:
    """Whether a directory with these names (without slashes) is the root of a restic repository.

    ``has_key_file``: a file in its ``keys/`` has a name of :func:`is_key_file`.
    """
    if CONFIG_FILE not in files or KEYS_DIRECTORY not in directories:
        return False
    return has_key_file or REQUIRED_DIRECTORIES.issubset(directories)


def enclosing_root(prefix: str, is_root: Callable[[str], bool], top: str = "") -> str | None:
    """The prefix of the repository one of whose own directories ``prefix`` is, or is in; None if there is none.

    ``is_root`` tells whether the prefix of a directory is that of a repository. It is asked only as far as it matters,
    of ``top`` and what is below it. A repository inside a directory of another one is a place of its own, and so is
    what it contains.
    """
    found: str | None = None
    directory = top
    for name in prefix.removeprefix(top).split("/")[:-1]:
        is_inner = name in REPOSITORY_DIRECTORIES
        if (is_inner or found is not None) and is_root(directory):
            found = directory if is_inner else None
        directory += f"{name}/"
    return None if found is None or is_root(directory) else found
