"""Publishing a state: its file in its bucket, a delta upon the state before or a full file."""

from __future__ import annotations

import os
from pathlib import Path

from rwm.index import CaptureSpool, Index, PendingState
from rwm.model import StateInfo, StoredFile
from rwm.private import path_of, temporary_file
from rwm.s3 import S3
from rwm.statefile import canonical_pieces, delta_key, file_key, gzip_writer, is_full_due, write_delta


def publish_state(
    s3: S3, index: Index, spool: CaptureSpool, pending: PendingState, full: Path | None = None
) -> StoredFile:
    """Write the state's file to the bucket: a delta, unless a full file is due (:func:`is_full_due`).

    A delta builds upon the last state of the same location. Its file, and all files upon which that builds, must be
    known to be in the bucket. ``full`` is the full file, if it was written locally already.
    """
    info, base = pending.info, pending.before.base
    chain = index.ledger.chain_sizes(base) if base else None
    if chain and base and (found := pending.base_changes()):
        count, changes = found
        with temporary_file() as file:
            write_delta(info, base, changes, count, file)
            file.flush()
            size = os.fstat(file.fileno()).st_size
            if not is_full_due(*chain, size):
                s3.upload(info.bucket, delta_key(info), path_of(file))
                return StoredFile(size, base)
    if full is not None:
        return _upload_full(s3, info, full)
    with temporary_file() as file:
        with gzip_writer(file) as out:
            for piece in canonical_pieces(info, spool.batches()):
                out.write(piece)
        file.flush()
        return _upload_full(s3, info, path_of(file))


def _upload_full(s3: S3, info: StateInfo, path: Path) -> StoredFile:
    s3.upload(info.bucket, file_key(info), path)
    return StoredFile(path.stat().st_size, None)
