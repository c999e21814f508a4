"""A state's copy in its bucket: as a whole now and then, otherwise as what differs from the state before."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from rwm.index import CaptureSpool, Index, PendingState
from rwm.model import StoredFile
from rwm.s3 import S3
from rwm.statefile import canonical_pieces, delta_key, file_key, gzip_writer, is_full_due, write_delta


def publish_state(s3: S3, index: Index, spool: CaptureSpool, arrival: PendingState) -> StoredFile:
    """Put the copy into the bucket; which of the two kinds is a matter of size.

    A delta needs a state before it whose own copy is known to be in the bucket, and that of all it builds upon.
    """
    info = arrival.info
    chain = index.ledger.chain(arrival.before) if arrival.before else None
    if chain and arrival.before:
        before = arrival.before
        size = _put(
            s3,
            info.bucket,
            delta_key(info),
            lambda file: write_delta(info, before, arrival.changes(), arrival.count, file),
            unless=lambda size: is_full_due(*chain, size),
        )
        if size is not None:
            return StoredFile(size, before)

    def whole(file: IO[bytes]) -> None:
        with gzip_writer(file) as out:
            for piece in canonical_pieces(info, spool.batches()):
                out.write(piece)

    size = _put(s3, info.bucket, file_key(info), whole)
    assert size is not None
    return StoredFile(size, None)


def _put(
    s3: S3,
    bucket: str,
    key: str,
    write: Callable[[IO[bytes]], None],
    unless: Callable[[int], bool] = lambda size: False,
) -> int | None:
    """Write an object by way of a temporary file, and return its size; None when that size is one not to write."""
    with tempfile.NamedTemporaryFile(prefix="rwm-state-") as file:
        write(file)
        file.flush()
        size = os.fstat(file.fileno()).st_size
        if unless(size):
            return None
        s3.upload(bucket, key, Path(file.name))
        return size
