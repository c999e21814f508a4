"""Delta files: a state as its changes from another; their format, writing, applying, and when a full file is due. Pure.

JSON Lines in UTF-8, as in ``rwm.statefile.canonical``: a header line, then one line for each key that differs,
sorted by key (by byte)::

    {"format":"rwm-state-delta-1","id":…,"base":…,"bucket":…,"captured_at":…,"origin":…,"outcome":…,"objects":…,
     "bytes":…,"changes":…}
    {"key":…,"version_id":…,"size":…,"etag":…,"last_modified":…}
    {"key":…,"removed":true}

``id`` is the id of the state that results, so the hash of *its* canonical form; ``base`` the id of the state to apply
the changes to. A delta proves nothing by itself: ``proven`` does, over what results.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from json.encoder import encode_basestring
from typing import IO

from rwm.errors import BadState
from rwm.model import Change, Entry, StateInfo
from rwm.statefile.canonical import encode_lines, entry_text, gzip_writer, header_json, header_text, line_text

FORMAT = "rwm-state-delta-1"

_CHAIN = 100  # deltas after one full state
_BATCH = 1000


def write_delta(info: StateInfo, base_id: str, changes: Iterable[Change], count: int, file: IO[bytes]) -> None:
    """Write the delta that makes the state ``info`` out of the state ``base_id``.

    ``changes`` come sorted by key, ``count`` of them; ValueError for another number.
    """
    written = 0

    def lines() -> Iterator[str]:
        nonlocal written
        for change in changes:
            written += 1
            yield change_text(change)

    with gzip_writer(file) as out:
        for piece in encode_lines(delta_header_text(info, base_id, count), lines()):
            out.write(piece)
    if written != count:
        raise ValueError(f"{written} changes, and {count} announced")


def delta_header_text(info: StateInfo, base_id: str, count: int) -> str:
    """The first line of a delta, with its line feed."""
    return line_text({"format": FORMAT, "id": info.id, "base": base_id, **header_json(info), "changes": count})


def change_text(change: Change) -> str:
    """The line of one change, with its line feed."""
    if change.entry is None:
        return f'{{"key":{encode_basestring(change.key)},"removed":true}}\n'
    return entry_text(change.entry)


def changes(before: Iterable[Entry], after: Iterable[Entry]) -> Iterator[Change]:
    """The changes from ``before`` to ``after``, which come sorted by key. Reads each once, in constant memory."""
    old = iter(before)
    entry = next(old, None)
    for new in after:
        while entry is not None and entry.key < new.key:
            yield Change(entry.key, None)
            entry = next(old, None)
        if entry is not None and entry.key == new.key:
            if entry != new:
                yield Change(new.key, new)
            entry = next(old, None)
        else:
            yield Change(new.key, new)
    while entry is not None:
        yield Change(entry.key, None)
        entry = next(old, None)


def apply(base: Iterable[Entry], changes: Iterable[Change]) -> Iterator[Entry]:
    """Apply changes to the entries of the base; both come sorted by key. Reads each once, in constant memory.

    Raises BadState for the removal of a key that is not in the base: the delta is of another state then.
    """
    old = iter(base)
    entry = next(old, None)
    for key, new in changes:
        while entry is not None and entry.key < key:
            yield entry
            entry = next(old, None)
        if entry is not None and entry.key == key:
            entry = next(old, None)
        elif new is None:
            raise BadState(f"the delta removes the key {key!r}, which its base does not have")
        if new is not None:
            yield new
    while entry is not None:
        yield entry
        entry = next(old, None)


def proven(info: StateInfo, entries: Iterable[Entry]) -> Iterator[Entry]:
    """Yield the entries unchanged, and check at their end that they are those of the state ``info``.

    Raises BadState then when they have another number, sum of sizes or id than ``info`` says; and as soon as there are
    more of them.
    """
    digest = hashlib.sha256(header_text(info).encode())
    left, size = info.objects, 0
    source = iter(entries)
    while batch := list(islice(source, _BATCH)):
        left -= len(batch)
        if left < 0:
            raise BadState(f"state {info.id[:8]} should have {info.objects} entries and has more")
        size += sum(entry.size for entry in batch)
        digest.update("".join(map(entry_text, batch)).encode())
        yield from batch
    if left:
        raise BadState(f"state {info.id[:8]} should have {info.objects} entries and has {info.objects - left}")
    if size != info.bytes:
        raise BadState(f"state {info.id[:8]} should have {info.bytes} bytes and has {size}")
    if digest.hexdigest() != info.id:
        raise BadState(f"what should be state {info.id[:8]} is state {digest.hexdigest()[:8]}")


def is_full_due(full_size: int, delta_sizes: Sequence[int], next_delta: int) -> bool:
    """Whether the next state goes into the bucket as a whole.

    ``full_size`` is the size of the last full file (0 without one), ``delta_sizes`` are those of the deltas since,
    ``next_delta`` is that of the one that would be written. Bytes of files as they are in the bucket, compressed.

    A full file is paid for by the deltas before it: it is written when they have come to the size of the last one,
    which differs from it in size by no more than they hold. So all files take at most a constant factor of what has
    changed. And it is written after 100 deltas, because who reads a state reads them all, and one that is lost ends
    the chain. In a bucket that hardly changes, that is one hundredth of a full file for a state.
    """
    return not full_size or len(delta_sizes) >= _CHAIN or sum(delta_sizes) + next_delta >= full_size
