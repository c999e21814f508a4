"""A simulated bucket for tests of ``rwm audit``."""

from __future__ import annotations

import json
from typing import Any

from tests.histories.restic import Repository
from tests.unit.memory import MemoryS3
from tests.unit.rwm.trust.memory_bucket import load, with_backups
from tests.unit.terminal import Terminal

HERE = ("-c", "here.conf")
AUDIT = (*HERE, "audit", "bucket1")


class Place:
    """A bucket with a repository, its machine, and an auditor."""

    def __init__(self, rwm_: Terminal, s3: MemoryS3, *prefixes: str) -> None:
        self.rwm = rwm_
        self.s3 = s3
        self.bucket, self.repositories = with_backups(*prefixes or ("",))

    @property
    def repository(self) -> Repository:
        return self.repositories[0]

    def capture(self, location: str = "bucket1") -> str:
        """The id of a state that is captured now."""
        self.load()
        assert self.rwm(*HERE, "state", "capture", location, "--json") == 0, self.rwm.err
        found: str = json.loads(self.rwm.out)["id"]
        self.bucket.now = self.s3.now
        for key, entries in self.s3.buckets["bucket1"].items():
            if "rwm/states/" in key and not self.bucket.is_current(key):
                self.bucket.add(entries[0])
        return found

    def load(self) -> None:
        self.bucket.now += 5000
        bodies = dict(self.s3.bodies)
        load(self.s3, self.bucket, self.bucket.now)
        self.s3.bodies |= {version: body for version, body in bodies.items() if body}

    def delete_pack(self, repository: Repository | None = None) -> str:
        """Delete a pack while no restic holds a lock, an hour later."""
        self.bucket.now += 3_600_000
        key = (repository or self.repository).files("data")[0]
        self.bucket.delete(key)
        return key

    def audit(self, *words: str, code: int = 0) -> dict[str, Any]:
        """The JSON document of an audit."""
        self.load()
        assert self.rwm(*AUDIT, *words, "--json") == code, self.rwm.err
        found: dict[str, Any] = json.loads(self.rwm.out)
        return found

    def text(self, *words: str, code: int = 0) -> str:
        self.load()
        assert self.rwm(*AUDIT, *words) == code, self.rwm.err
        return self.rwm.out
