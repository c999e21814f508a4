"""Files of a restore that are not complete yet: in a directory of their own, which exists during the restore only."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

from rwm.restore.private_directory import PrivateDirectory, create_file, list_directory, place_file

_DIGEST = re.compile("[0-9a-f]{64}", re.ASCII)


def key_digest(key: str) -> str:
    """A file name for a key that may be no file name: its SHA-256."""
    return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()


def is_digest(name: str) -> bool:
    """Whether the name is one that :func:`key_digest` gives."""
    return _DIGEST.fullmatch(name) is not None


class PartialFiles:
    """The open directory of incomplete files, each named by the SHA-256 of its key."""

    def __init__(self, directory: int) -> None:
        self._directory = directory

    @contextmanager
    def create(self, key: str) -> Iterator[IO[bytes]]:
        """Create the file of a key, open for writing and reading. It is removed at the end unless it was placed."""
        name = key_digest(key)
        file = create_file(self._directory, name)
        try:
            with file:
                yield file
        finally:
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=self._directory)

    def place(self, key: str, directory: int, name: str, *, replace: bool) -> None:
        """Give the file of a key its name. Raises FileExistsError for a taken one, unless ``replace``."""
        place_file(self._directory, key_digest(key), directory, name, replace=replace)


@contextmanager
def open_partial(root: PrivateDirectory, name: str) -> Iterator[PartialFiles]:
    """Make the directory for the block. What an earlier run has left in it is removed."""
    with root.open_directory(name, create=True) as directory:
        _remove_all(directory)
        try:
            yield PartialFiles(directory)
        finally:
            _remove_all(directory)
            with root.open_directory() as above, suppress(OSError):
                os.rmdir(name, dir_fd=above)


def _remove_all(directory: int) -> None:
    for name in filter(is_digest, list_directory(directory)):
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=directory)
