"""A bucket in memory with a repository whose names are true, and the verification of its state."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from rwm.errors import RwmError
from rwm.index import Index
from rwm.location import Location
from rwm.model import StateInfo
from rwm.states import capture_state
from rwm.verify import (
    ContentRun,
    Problem,
    VerifyReport,
    list_state,
    plan_content,
    read_content,
    report_content,
    verify_structure,
)
from tests.unit.memory import MemoryS3

BUCKET = "bucket1"


def named(directory: str, content: bytes) -> str:
    """The key of a content-addressed file."""
    name = hashlib.sha256(content).hexdigest()
    return f"data/{name[:2]}/{name}" if directory == "data" else f"{directory}/{name}"


class VerifySetup:
    """``keys`` are the content-addressed ones that :meth:`put` has made; ``read`` are the keys that were requested."""

    def __init__(self, directory: Path) -> None:
        self.s3 = MemoryS3(BUCKET)
        self.index = Index.open(directory / "index.sqlite")
        self.keys: list[str] = []
        self.read: list[str] = []
        self.faults: dict[str, list[RwmError]] = {}
        self.s3.retry_seconds = 0
        self._stream = self.s3.stream
        self.s3.stream = self._observed  # type: ignore[method-assign]

    def _observed(
        self, bucket: str, key: str, version_id: str | None = None, etag: str | None = None
    ) -> Iterator[bytes]:
        self.read.append(key)
        if self.faults.get(key):
            raise self.faults[key].pop(0)
        yield from self._stream(bucket, key, version_id, etag)

    def put(self, packs: int = 4) -> None:
        """A config, a key, an index, a snapshot and packs, of 10 bytes each."""
        self.s3.put(BUCKET, "config", b"config")
        for directory in ("keys", "index", "snapshots", *["data"] * packs):
            content = f"{len(self.keys):010}".encode()
            self.keys.append(named(directory, content))
            self.s3.put(BUCKET, self.keys[-1], content)

    def capture(self, prefix: str = "") -> StateInfo:
        self.s3.now += 10_000
        return capture_state(self.s3, self.index, Location(BUCKET, prefix))

    def structure(self, info: StateInfo) -> tuple[VerifyReport, list[Problem]]:
        problems: list[Problem] = []
        report = VerifyReport(info, "structure", self.s3.now, problems.append, by="admin@host1")
        with closing(list_state(self.s3, self.index, info)) as listed:
            verify_structure(listed, report)
        return report, problems

    def content(self, info: StateInfo, run: ContentRun | None = None) -> tuple[VerifyReport, list[Problem]]:
        """Verify by content; ``read`` is what was requested in this run."""
        run = run or ContentRun(connections=2)
        self.s3.now += 1000
        self.read.clear()
        problems: list[Problem] = []
        report = VerifyReport(info, "content", self.s3.now, problems.append, by="admin@host1")
        with closing(list_state(self.s3, self.index, info)) as listed:
            verify_structure(listed, report)
            self.plan = plan_content(listed, run)
            report.begin_content()
            unread = read_content(self.s3, self.index, listed, report, run)
            report_content(listed, report, run, unread)
        return report, problems

    def replace(self, key: str, body: bytes) -> None:
        """Other bytes below the same version, which no listing shows: damage in the server."""
        self.s3.bodies[self.s3.buckets[BUCKET][key][0].version_id] = body
