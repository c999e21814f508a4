"""Check that a state can be read before it is mounted: a mount where every read fails with EIO is of no use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import TypeVar

from rwm.errors import S3Error, Unreachable
from rwm.model import Entry, ObjectReader, StateTree

MAX_FILES = 1000
"""Files to search for one that is not empty."""


T = TypeVar("T")


def check_readable(state: StateTree, source: ObjectReader) -> bool:
    """Read one byte of the state by version id; raises S3Error after the retries of ``source``.

    The byte is from ``config``, which every restic repository has, or else from the first file that is not empty. A
    state without such a file passes, with False: nothing was read.
    """
    config = state.child(state.root, "config")
    first = [config.entry] if config is not None and config.entry is not None else []
    for entry in islice(chain(first, _files(state, state.root)), MAX_FILES):
        if entry.size:
            source.read_range(entry.key, entry.version_id, 0, 1, etag=entry.etag)
            return True
    return False


def check_newest_readable(states: Iterable[StateTree], source: ObjectReader) -> S3Error | None:
    """Check the first of some states; its error if it cannot be read while another one can.

    An attacker may encrypt objects with a key of its own, which must not hide the states before. Raises the error if
    none can be read, and Unreachable at once.
    """
    trees = iter(states)
    try:
        check_readable(next(trees), source)
    except Unreachable:
        raise
    except S3Error as error:
        if any(_is_readable(tree, source) for tree in trees):
            return error
        raise
    return None


def _is_readable(state: StateTree, source: ObjectReader) -> bool:
    try:
        return check_readable(state, source)
    except Unreachable:
        raise
    except S3Error:
        return False


def sample(items: Sequence[T]) -> list[T]:
    """The first item, those after 1, 2, 4, 8 … more, and the last: a few of any number."""
    positions = {0, len(items) - 1, *(2**power for power in range(len(items).bit_length()))}
    return [items[position] for position in sorted(positions) if 0 <= position < len(items)]


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
