"""Record a year of states in an index, and measure the sizes of state files of RWM and of the original tool."""

from __future__ import annotations

import gzip
import io
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any

from bench.clock import cpu_of
from bench.simulated_repository import SimulatedRepository
from rwm.index import Index
from rwm.model import Entry, StateInfo, StoredFile
from rwm.statefile import delta
from rwm.statefile.canonical import identified
from rwm.times import iso


class Sink(io.BytesIO):
    """A file that discards its content and counts its bytes."""

    size = 0

    def write(self, data: Any) -> int:
        """Count the bytes."""
        length = memoryview(data).nbytes
        self.size += length
        return length


@dataclass
class Year:
    """The costs of recording. Sizes are in bytes; times in seconds of CPU, excluding the simulation."""

    full: int
    """Size of the full file of the first state."""
    first: float
    """Time to record the first state."""
    days: list[float] = field(default_factory=list)
    """Time to record each later state."""
    deltas: list[int] = field(default_factory=list)
    """Sizes of all deltas in the bucket."""
    fulls: int = 1
    """Number of full files in the bucket."""

    @property
    def in_bucket(self) -> int:
        """Size of all files; each full one counts as large as the first, because the number of objects is constant."""
        return self.fulls * self.full + sum(self.deltas)


def record(index: Index, repository: SimulatedRepository, days: int) -> Year:
    """Record the first state in full, and each later one by its changes."""
    sink = Sink()
    identified(repository.info, repository.entries(), sink)
    entries = list(repository.entries())
    stored = StoredFile(sink.size, None)
    done, first = cpu_of(partial(index.record, repository.info, entries, stored=stored))
    assert done
    del entries
    year = Year(stored.size, first)
    chain: list[int] = []
    for _ in range(days - 1):
        base = repository.info
        changes = repository.next_day()
        sink = Sink()
        delta.write_delta(repository.info, base.id, changes, len(changes), sink)
        if delta.is_full_due(year.full, chain, sink.size):
            chain, stored = [], StoredFile(year.full, None)
            year.fulls += 1
        else:
            stored = StoredFile(sink.size, base.id)
            chain.append(sink.size)
            year.deltas.append(sink.size)
        done, cpu = cpu_of(partial(index.record_changes, repository.info, base, changes, stored=stored))
        assert done
        year.days.append(cpu)
    return year


def index_sizes(path: Path) -> tuple[int, int]:
    """(bytes of the index with its journal, bytes of the index after a checkpoint)."""
    now = sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*"))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return now, path.stat().st_size


def write_original(info: StateInfo, entries: Iterable[Entry], target: IO[bytes]) -> None:
    """Write a state in the format of the original tool: gzip JSON, ``versions`` as boto3 lists them.

    With the default compression of Python's gzip (level 9).
    """
    when = iso(info.captured_at)
    head = {"bucket_name": info.bucket, "bucket_acl": [], "bucket_policy": {}, "time_start": when}
    with gzip.GzipFile(filename="", fileobj=target, mode="wb") as file:
        file.write((json.dumps(head)[:-1] + ', "versions": [').encode())
        for piece in _versions(entries):
            file.write(piece)
        file.write(f'], "delete_markers": [], "time_end": "{when}"}}'.encode())


def _versions(entries: Iterable[Entry]) -> Iterator[bytes]:
    separator = ""
    for entry in entries:
        version = {
            "ETag": f'"{entry.etag}"',
            "Size": entry.size,
            "StorageClass": "STANDARD",
            "Key": entry.key,
            "VersionId": entry.version_id,
            "IsLatest": True,
            "LastModified": iso(entry.last_modified).replace("Z", "+00:00"),
            "Owner": {"DisplayName": "user1", "ID": "user1"},
        }
        yield (separator + json.dumps(version)).encode()
        separator = ", "
