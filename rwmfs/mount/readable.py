"""Check that a state can be read before it is mounted: a mount where every read fails with EIO is of no use."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice

from rwm.model import Entry, ObjectReader, StateTree

MAX_FILES = 1000
"""Files to search for one that is not empty."""


def check_readable(state: StateTree, source: ObjectReader) -> None:
    """Read one byte of the state by version id; raises S3Error after the retries of ``source``.

    The byte is from ``config``, which every restic repository has, or else from the first file that is not empty. A
    state without such a file passes.
    """
    config = state.child(state.root, "config")
    first = [config.entry] if config is not None and config.entry is not None else []
    for entry in islice(chain(first, _files(state, state.root)), MAX_FILES):
        if entry.size:
            source.read_range(entry.key, entry.version_id, 0, 1, etag=entry.etag)
            return


def _files(state: StateTree, directory: int) -> Iterator[Entry]:
    """All files below a directory, read in small pages."""
    after = ""
    while page := state.children(directory, after, 10):
        for node in page:
            if node.entry is not None:
                yield node.entry
            elif node.directory is not None:
                yield from _files(state, node.directory)
        after = page[-1].name
