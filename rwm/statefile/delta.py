"""Delta files: a state as its changes from another one. Their format, how to write them, and when not to. Pure.

JSON Lines in UTF-8, as in ``rwm.statefile.canonical``: a header line, then one line for each key that differs,
sorted by key (by byte)::

    {"format":"rwm-state-delta-1","id":…,"base":…,"bucket":…,"prefix":…,"captured_at":…,"origin":…,"outcome":…,"objects":…,
     "bytes":…,"changes":…}
    {"key":…,"version_id":…,"size":…,"etag":…,"last_modified":…}
    {"key":…,"removed":true}

``id`` is the id of the resulting state, the hash of *its* canonical form; ``base`` is the id of the state to which the
changes apply. A delta proves nothing by itself: whoever applies it computes the id of the result.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from json.encoder import encode_basestring
from typing import IO

from rwm.model import Change, StateInfo
from rwm.statefile.canonical import encode_lines, entry_text, gzip_writer, header_json, line_text

FORMAT = "rwm-state-delta-1"

_CHAIN = 100  # deltas after one full state


def write_delta(info: StateInfo, base_id: str, changes: Iterable[Change], count: int, file: IO[bytes]) -> None:
    """Write the delta from the state ``base_id`` to the state ``info``.

    ``changes`` are sorted by key. Raises ValueError if they are not ``count``.
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


def is_full_due(full_size: int, delta_sizes: Sequence[int], next_delta: int) -> bool:
    """Whether to write the next state as a full file instead of a delta.

    Sizes are compressed bytes in the bucket: ``full_size`` of the last full file (0 without one), ``delta_sizes`` of
    the deltas since, ``next_delta`` of the delta that would be written.

    A full file is due when the deltas since the last one are as large as it. So all files together take at most a
    constant factor of the changes. It is also due after 100 deltas, because reading a state reads all of them, and the
    loss of one breaks the chain. In a bucket that hardly changes, that costs a hundredth of a full file per state.
    """
    return not full_size or len(delta_sizes) >= _CHAIN or sum(delta_sizes) + next_delta >= full_size
