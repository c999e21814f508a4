"""A prune in a process of its own: ``python -m bench.pruned capture|prune INDEX VERSIONS`` prints what it took as JSON.

The bucket is generated, in constant memory: deletions are counted and change nothing.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import IO

from bench import processes
from rwm.index import Index
from rwm.location import Location
from rwm.model import ObjectVersion
from rwm.prune import PrunePlan, plan_prune, prune_and_record
from rwm.retention import select_kept_states
from rwm.s3 import S3, DeleteFailure
from rwm.s3.listing import Level, RecordedLister, UnknownKeys
from rwm.states import capture_state
from rwm.times import DAY, SECOND
from rwm.trust import KeepPolicy, audit_location
from tests.histories.stream import DIRECTORIES, stream_directory

LOCATION = Location("b")
NOW = 1_767_225_600_000 + 40 * 365 * DAY
PAGE = 1000
_MANY_NAMES = 11  # parts of a level: so many that it is not divided among connections


class GeneratedS3(S3):
    """An honest repository of so many versions, of which a half was removed."""

    def __init__(self, versions: int) -> None:
        self.endpoint_url = "generated"
        self.unknown_keys = UnknownKeys()
        self._versions = versions
        self._now = NOW
        self.deleted = 0

    def version_batches(
        self, bucket: str, prefix: str = "", *, page_size: int = PAGE
    ) -> Iterator[Sequence[ObjectVersion]]:
        directory = "" if prefix == "config" else prefix
        if directory in DIRECTORIES:
            entries = stream_directory(self._versions, directory)
            while page := list(islice(entries, page_size)):
                yield page

    def level(self, bucket: str, prefix: str = "", *, page_size: int = PAGE) -> Iterator[Level]:
        if prefix:
            yield from (Level([], []) for _ in range(_MANY_NAMES))
        else:
            yield Level(list(stream_directory(self._versions, "")), [name for name in DIRECTORIES if name])

    def server_time(self, bucket: str) -> int:
        self._now += SECOND
        return self._now

    def stamp_time(self, bucket: str, key: str) -> int:
        return self._now

    def versioning(self, bucket: str) -> str:
        return "Enabled"

    def owner_id(self) -> str:
        return "admin"

    def unfinished_uploads(self, bucket: str, *, page_size: int = PAGE, by: str = "") -> Iterator[tuple[str, str, int]]:
        return iter(())

    def has_object_lock(self, bucket: str) -> bool:
        return False

    def upload(self, bucket: str, key: str, path: Path) -> None:
        """Discard a state file."""

    def put(self, bucket: str, key: str, body: bytes | IO[bytes]) -> str:
        return "written"

    def stream(self, bucket: str, key: str, version_id: str | None = None, etag: str | None = None) -> Iterator[bytes]:
        return iter(())

    def delete_versions(self, bucket: str, exact: Sequence[tuple[str, str]]) -> list[DeleteFailure]:
        self.deleted += len(exact)
        return []


def main(step: str, path: str, versions: int) -> None:
    """Capture the present state, or plan a prune that keeps it and execute the plan."""
    s3 = GeneratedS3(versions)
    with Index.open(Path(path)) as index:
        if step == "capture":
            print(json.dumps({"objects": capture_state(s3, index, LOCATION).objects}))
            return
        begun = time.process_time()
        plan = _plan(s3, index)
        planned, peak = time.process_time(), processes.memory()[1]
        result = prune_and_record(s3, index, plan).result
        executed = time.process_time()
    assert not plan.refused and result.versions + result.markers == s3.deleted, plan.refused
    used = {"planned": planned - begun, "executed": executed - planned, "plan_peak": peak}
    print(json.dumps({"deleted": s3.deleted, "peak": processes.memory()[1], **used}))


def _plan(s3: GeneratedS3, index: Index) -> PrunePlan:
    """As the command does it: the audit is not held while the plan is executed."""
    kept = select_kept_states(index, LOCATION, KeepPolicy({"last": "1"}))
    with closing(RecordedLister(s3)) as lister:
        audit = audit_location(s3, LOCATION, lister=lister)
        return plan_prune(s3, index, LOCATION, kept, audit=audit, lister=lister)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
