"""Whether a state can be read at all: asked before it is mounted, because a mount that answers EIO helps nobody."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice

from rwm.errors import BadResponse, Unreachable
from rwm.model import Entry, ObjectReader, StateTree

TRIES = 1000
"""Files to look at for one that is not empty."""


def probe(state: StateTree, source: ObjectReader) -> None:
    """Read one byte of the state by version id; raises S3Error as the reader does.

    ``config``, which every restic repository has, or else the first file that is not empty. A state without any has
    nothing that could not be read.
    """
    config = state.child(state.root, "config")
    first = iter([config.entry] if config is not None and config.entry is not None else [])
    for entry in islice((*first, *islice(files(state, state.root), TRIES)), TRIES):
        if entry.size:
            _read(source, entry)
            return


def _read(source: ObjectReader, entry: Entry) -> None:
    """The first byte. A server in trouble is asked a few times, within seconds: somebody waits for the mount."""
    for pause in (0.2, 0.5, 1.0, None):
        try:
            source.read_range(entry.key, entry.version_id, 0, 1)
        except (Unreachable, BadResponse):
            if pause is None:
                raise
            time.sleep(pause)
        else:
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
