"""Listings that are kept in a temporary file, and read from there when they are needed again."""

from __future__ import annotations

import marshal
import os
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from threading import Lock
from typing import NamedTuple

from rwm.model import ObjectVersion, VersionBatch
from rwm.names import parent_directories
from rwm.private import spool_directory, temporary_file_errors
from rwm.s3.listing.interface import Lister
from rwm.s3.listing.sibling_order import Level
from rwm.s3.listing.unknown_keys import UnknownKeys

MAX_REQUESTS = 100
"""Directories in a listing that were not listed before; with more, all of it is listed again."""

MAX_CHILDREN = 20_000
"""Directories in one directory that are held in memory."""


class _Chunk(NamedTuple):
    """A batch in the file, and its outer keys."""

    offset: int
    length: int
    first: str
    last: str

    def may_have(self, prefix: str) -> bool:
        """Whether a key below the prefix can be in the batch."""
        return self.last >= prefix and (self.first <= prefix or self.first.startswith(prefix))

    def has_only(self, prefix: str) -> bool:
        """Whether every key of the batch is below the prefix."""
        return self.first.startswith(prefix) and self.last.startswith(prefix)


class RecordedLister:
    """Lists as another lister does, and keeps every complete listing: a bucket as it was when it was first listed.

    A listing is answered from one of the same prefix or of one above it, or put together from those of the directories
    below. Any thread may use it. Takes about 90 bytes of disk for each entry; on a full disk nothing more is kept.
    """

    def __init__(self, lister: Lister) -> None:
        self._lister = lister
        with temporary_file_errors():
            self._file = tempfile.TemporaryFile(buffering=0, dir=spool_directory())  # noqa: SIM115 - see close()
        self._lock = Lock()
        self._size = 0
        self._is_full = False
        self._listings: dict[tuple[str, str], list[_Chunk]] = {}  # by bucket and prefix
        self._levels: dict[tuple[str, str], list[_Chunk]] = {}
        self._above: set[tuple[str, str]] = set()
        """The directories above what is kept."""

    def close(self) -> None:
        """Remove the file."""
        self._file.close()

    @property
    def unknown_keys(self) -> UnknownKeys:
        """As in :class:`Lister`."""
        return self._lister.unknown_keys

    def version_batches(
        self, bucket: str, prefix: str = "", *, page_size: int = 1000
    ) -> Iterator[Sequence[ObjectVersion]]:
        """As in :class:`Lister`."""
        chunks = self._find(bucket, prefix)
        if chunks is not None:
            yield from self._read(chunks, prefix)
        elif (bucket, prefix) in self._above and (children := self._children(bucket, prefix)) is not None:
            for level in self.level(bucket, prefix, page_size=page_size):
                yield level.versions
            for child in children:
                yield from self.version_batches(bucket, child, page_size=page_size)
        else:
            yield from self._record(bucket, prefix, self._lister.version_batches(bucket, prefix, page_size=page_size))

    def level(self, bucket: str, prefix: str = "", *, page_size: int = 1000) -> Iterator[Level]:
        """As in :class:`Lister`."""
        kept = self._levels.get((bucket, prefix))
        if kept is not None:
            for chunk in kept:
                yield Level(*self._load(chunk))
            return
        chunks = []
        for level in self._lister.level(bucket, prefix, page_size=page_size):
            chunks.append(self._write(level.versions, level.prefixes))
            yield level
        self._keep(self._levels, bucket, prefix, chunks)

    def _find(self, bucket: str, prefix: str) -> list[_Chunk] | None:
        """The chunks of the listing of the prefix, or of a directory above it."""
        paths = (prefix, "", *parent_directories(prefix))
        return next((found for path in paths if (found := self._listings.get((bucket, path))) is not None), None)

    def _children(self, bucket: str, prefix: str) -> list[str] | None:
        """The directories in a directory, sorted; None if too many of them would have to be listed."""
        children: list[str] = []
        for level in self.level(bucket, prefix):
            children += level.prefixes
            if len(children) > MAX_CHILDREN:
                return None
        missing = sum(
            (bucket, child) not in self._listings and (bucket, child) not in self._above for child in children
        )
        return sorted(children) if missing <= MAX_REQUESTS else None

    def _read(self, chunks: Iterable[_Chunk], prefix: str) -> Iterator[Sequence[ObjectVersion]]:
        for chunk in chunks:
            if chunk.may_have(prefix):
                batch, _ = self._load(chunk)
                yield batch if chunk.has_only(prefix) else [entry for entry in batch if entry.key.startswith(prefix)]

    def _record(
        self, bucket: str, prefix: str, batches: Iterable[Sequence[ObjectVersion]]
    ) -> Iterator[Sequence[ObjectVersion]]:
        chunks = []
        for batch in batches:
            if batch:
                chunks.append(self._write(batch, []))
            yield batch
        self._keep(self._listings, bucket, prefix, chunks)

    def _keep(
        self,
        listings: dict[tuple[str, str], list[_Chunk]],
        bucket: str,
        prefix: str,
        chunks: Sequence[_Chunk | None],
    ) -> None:
        """Note a complete listing, unless a part of it could not be written."""
        written = [chunk for chunk in chunks if chunk is not None]
        if len(written) == len(chunks):
            with self._lock:
                listings[bucket, prefix] = written
                if listings is self._listings:
                    self._above.update((bucket, path) for path in ("", *parent_directories(prefix)) if path != prefix)

    def _write(self, versions: Sequence[ObjectVersion], prefixes: list[str]) -> _Chunk | None:
        """Append a batch to the file; None if that is not possible."""
        if self._is_full:
            return None
        batch = VersionBatch.of(versions)
        columns = (batch.keys, batch.version_ids, batch.is_latest, batch.is_marker, batch.sizes, batch.etags)
        lists = [list(column) for column in (*columns, batch.last_modified)]
        classes = batch.storage_classes and list(batch.storage_classes)
        data = zlib.compress(marshal.dumps(([*lists, classes], prefixes)), 1)
        with self._lock:
            offset, self._size = self._size, self._size + len(data)
        try:
            is_whole = os.pwrite(self._file.fileno(), data, offset) == len(data)
        except OSError:
            is_whole = False
        if not is_whole:
            self._is_full = True
            return None
        return _Chunk(offset, len(data), min(batch.keys, default=""), max(batch.keys, default=""))

    def _load(self, chunk: _Chunk) -> tuple[VersionBatch, list[str]]:
        data = os.pread(self._file.fileno(), chunk.length, chunk.offset)
        columns, prefixes = marshal.loads(zlib.decompress(data))  # noqa: S302 - written by this process
        return VersionBatch(*columns), prefixes
