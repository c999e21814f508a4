"""Which repository a key belongs to, where a listing goes through several. Pure."""

from __future__ import annotations

from collections.abc import Collection

from rwm.trust.names import Kind, kind_of


class RepositoryRoots:
    """Finds the repository that a key is a file of. ``roots`` are the prefixes of all repositories.

    Fastest in key order: the repositories above a directory are looked up once for all keys in it.
    """

    def __init__(self, roots: Collection[str]) -> None:
        self._roots = frozenset(roots)
        self._directory: str | None = None
        self._above: list[str] = []

    def find(self, key: str) -> tuple[str, Kind] | None:
        """The root and the kind of a file of a repository; None for other keys. The innermost repository counts."""
        directory = key[: key.rfind("/") + 1]
        if directory != self._directory:
            self._directory = directory
            self._above = [each for each in (directory, *enclosing_prefixes(directory)) if each in self._roots]
        for root in self._above:
            kind = kind_of(key[len(root) :])
            if kind is not Kind.OTHER:
                return root, kind
        return None


def enclosing_prefixes(prefix: str) -> list[str]:
    """The prefixes above one, the innermost first: of ``a/b/`` they are ``a/`` and the empty one."""
    ends = [position + 1 for position, character in enumerate(prefix[:-1]) if character == "/"]
    return [*(prefix[:end] for end in reversed(ends)), ""] if prefix else []
