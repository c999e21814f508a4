"""The repositories that a pass over the version history of a location meets. Pure."""

from __future__ import annotations

from rwm.layout import CONFIG_FILE, REPOSITORY_DIRECTORIES
from rwm.restic import expected_sha256


class Repositories:
    """The roots of restic's repositories, known by a file that restic names by its hash in one of their directories.

    The location's own root always counts as one. Memory grows with the number of repositories.
    """

    def __init__(self, prefix: str) -> None:
        self._roots = {prefix}

    def observe(self, key: str) -> None:
        """Note the repository that the key is a file of, if it is one."""
        if (root := repository_root(key)) is not None:
            self._roots.add(root)

    def has_config(self, key: str) -> bool:
        """Whether a key named ``config`` is in the root of an observed repository."""
        return key.removesuffix(CONFIG_FILE) in self._roots


def is_config(key: str) -> bool:
    """Whether the key is named as the ``config`` of a repository."""
    return key == CONFIG_FILE or key.endswith("/" + CONFIG_FILE)


def repository_root(key: str) -> str | None:
    """The root of the repository that a file named by its hash is in: above ``data/00/`` or ``keys/``. None for others.

    Empty, or with a slash at its end.
    """
    if expected_sha256(key) is None:
        return None
    directory = key[: key.rindex("/")]
    parent, _, name = directory.rpartition("/")
    if name not in REPOSITORY_DIRECTORIES:
        parent = parent.rpartition("/")[0]
    return parent and parent + "/"
