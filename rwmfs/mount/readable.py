"""Whether a state can be read at all: asked before it is mounted, because a mount that answers EIO helps nobody."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice

from rwm.model import Entry, ObjectReader, StateTree

TRIES = 1000
"""Files to look at for one that is not empty."""


def check_readable(state: StateTree, source: ObjectReader) -> None:
    """Read one byte of the state by version id; raises S3Error as ``source`` does, after as many attempts as it makes.

    ``config``, which every restic repository has, or else the first file that is not empty. A state without any has
    nothing that could not be read.
    """
    config = state.child(state.root, "config")
    first = [config.entry] if config is not None and config.entry is not None else []
    for entry in islice(chain(first, files(state, state.root)), TRIES):
        if entry.size:
            source.read_range(entry.key, entry.version_id, 0, 1, etag=entry.etag)
            return


def files(state: StateTree, directory: int) -> Iterator[Entry]:
    """The files below a directory, found one by one."""
    after = ""
    while page := state.children(directory, after, 10):
        for node in page:
            if node.entry is not None:
                yield node.entry
            elif node.directory is not None:
                yield from files(state, node.directory)
        after = page[-1].name
