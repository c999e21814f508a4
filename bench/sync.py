"""``rwm state sync`` on a new machine: read, verify and compare many states of a large repository.

The peer: the same states in the format of the original tool, decompressed and parsed by Python's gzip and json.
"""

from __future__ import annotations

import gzip
import io
import json
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import cast

from bench import table
from bench.clock import cpu_of
from bench.options import Options
from bench.simulated_repository import SimulatedRepository
from bench.year import write_original
from rwm.index import Index
from rwm.location import Location
from rwm.model import Change, Entry, ObjectVersion, StateInfo
from rwm.s3 import S3
from rwm.statefile import canonical as statefile
from rwm.statefile import delta
from rwm.states.comparison import Comparison, ComparisonResult
from rwm.states.state_file import StateFile
from rwm.states.sync import SyncResult, sync_states

DAYS = 30
"""Maximum number of states: making them with true ids takes longer than reading them."""


class StoredStates:
    """The state files and the key histories of a simulated repository after ``days`` days."""

    def __init__(self, repository: SimulatedRepository, days: int) -> None:
        self.files: list[StateFile] = []
        self.contents: dict[str, bytes] = {}
        self.original = io.BytesIO()
        self.size = 0
        self._lifetimes = {entry.key: [entry, 0] for entry in repository.entries()}
        before = self._add(repository, None, None)
        write_original(repository.info, repository.entries(), self.original)
        for _ in range(days - 1):
            changes = repository.next_day()
            for key, entry in changes:
                if entry is None:
                    self._lifetimes[key][1] = repository.info.captured_at - 1
                else:
                    self._lifetimes[key] = [entry, 0]
            before = self._add(repository, before, changes)
        self.name = repository.info.bucket

    def _add(
        self, repository: SimulatedRepository, before: StateInfo | None, changes: list[Change] | None
    ) -> StateInfo:
        file = io.BytesIO()
        if before is None or changes is None:
            info = statefile.identified(repository.info, repository.entries(), file)
            key = statefile.file_key(info)
        else:
            info = statefile.identified(repository.info, repository.entries())
            delta.write_delta(info, before.id, changes, len(changes), file)
            key = statefile.delta_key(info)
        self.contents[key] = file.getvalue()
        self.size += len(file.getvalue())
        uploaded = info.captured_at + 60_000
        self.files.append(StateFile(key, "v1", len(file.getvalue()), uploaded, statefile.parse_file_key(key)))
        return info

    def stream(self, bucket: str, key: str, version_id: str) -> Iterator[bytes]:
        """See :meth:`rwm.s3.S3.stream`."""
        yield self.contents[key]

    def histories(self) -> Iterator[list[ObjectVersion]]:
        """The history of each key, newest version first, sorted by key."""
        for key in sorted(self._lifetimes):
            entry, deleted_at = cast("tuple[Entry, int]", self._lifetimes[key])
            version = ObjectVersion(key, entry.version_id, not deleted_at, False, *entry[2:])
            marker = ObjectVersion(key, "marker", True, True, 0, "", deleted_at)
            yield [marker, version] if deleted_at else [version]


def main(options: Options) -> None:
    """Print seconds of CPU, in total and for each state."""
    days = min(options.days, DAYS)
    bucket = StoredStates(SimulatedRepository(options.objects), days)
    with tempfile.TemporaryDirectory(prefix="rwm-bench-") as name, Index.open(Path(name) / "index.sqlite") as index:
        result, reading = cpu_of(partial(_read, bucket, index))
        assert len(result.recorded) == days, result.rejected[:1]
        _, listing = cpu_of(lambda: sum(1 for _ in bucket.histories()))
        compared, comparing = cpu_of(partial(_compare, bucket, index, result))
        assert {state.verdict for state in compared} == {"verified"}, compared[:1]
    _, original = cpu_of(lambda: json.loads(gzip.decompress(bucket.original.getvalue())))
    rows = [("gzip JSON of each, only decompressed and parsed", original * days)]
    rows += [("rwm, read, verified and recorded", reading), ("rwm, compared with history", comparing - listing)]
    table.show(
        f"sync on a new machine: {table.count(options.objects)} objects, {days} states, without the listing",
        ("", "CPU s", "for each state", "ratio"),
        [(label, f"{cpu:.1f}", f"{cpu / days:.2f}", table.ratio(cpu, rows[0][1])) for label, cpu in rows],
        f"one file of the original tool was parsed, and counted {days} times",
        f"state files: {table.mib(bucket.size)} in the bucket, those of the original tool "
        f"{table.mib(len(bucket.original.getvalue()) * days)}",
    )


def _read(bucket: StoredStates, index: Index) -> SyncResult:
    return sync_states(cast("S3", bucket), index, Location(bucket.name), bucket.files, bucket.files)


def _compare(bucket: StoredStates, index: Index, result: SyncResult) -> list[ComparisonResult]:
    """As :func:`rwm.states.sync.compare_with_history`, without a server."""
    uploads = {file.name.id: file.uploaded for file in bucket.files if file.name}
    comparison = Comparison(index.states(Location(bucket.name)), [info.id for info in result.recorded], uploads)
    references = index.references(Location(bucket.name))
    for history in bucket.histories():
        comparison.compare_key(history, references.of(history[0].key))
    return comparison.results()
