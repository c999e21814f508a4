"""Recorded histories of real buckets, ``corpus/*.jsonl.gz``: written by :mod:`tests.histories.record`, read by tests.

A file is JSON Lines. The header says what was done::

    {"format":"rwm-corpus-1","server":…,"server_version":…,"restic":…,"scenario":…,"operations":[
        {"name":…,"host":…,"command":…,"code":…,"location":…}, …]}

Each other line is an entry of the version listing, in the order of the server: key, version id, is latest, is marker,
size, ETag, time in milliseconds, then the number of the operation that made it and the number of its request, counted
over the bucket (-1 where the request did not pass through the recorder)::

    ["config","…",true,false,155,"…",1764352800000,0,1]
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import NamedTuple

from rwm.model import ObjectVersion
from tests.histories.steps import token

FORMAT = "rwm-corpus-1"
ATTACKED = "attacked"
"""The scenario that is not honest."""

DIRECTORY = Path(__file__).parent / "corpus"


@dataclass(frozen=True, slots=True)
class Operation:
    """One command. ``code`` is its exit code, None if it was killed or is no command; ``location`` a prefix."""

    name: str
    host: str
    command: str
    code: int | None
    location: str = ""


class Event(NamedTuple):
    """A version or marker of a recording, with the number of the operation and of the request that made it."""

    version: ObjectVersion
    operation: int
    step: int

    @property
    def token(self) -> str:
        """``+data``, ``-index``, as :attr:`tests.histories.steps.Step.token`."""
        return token("delete" if self.version.is_marker else "put", self.version.key)


@dataclass(frozen=True)
class Recording:
    """A recorded bucket. ``versions`` is the listing as the server returned it; the other lists run beside it."""

    server: str
    server_version: str
    restic: str
    scenario: str
    operations: list[Operation]
    versions: list[ObjectVersion]
    operation_of: list[int]
    step_of: list[int]

    @property
    def name(self) -> str:
        """The name of its file, without the extension."""
        return f"{self.scenario}-{self.server}-{self.restic}"

    def events(self, operation: int) -> list[Event]:
        """What an operation did, in the order of its requests."""
        return self._events[operation]

    @cached_property
    def _events(self) -> list[list[Event]]:
        events: list[list[Event]] = [[] for _ in self.operations]
        for row in sorted(zip(self.versions, self.operation_of, self.step_of, strict=True), key=lambda row: row[2]):
            events[row[1]].append(Event(*row))
        return events

    def operations_named(self, name: str) -> Iterator[tuple[Operation, list[Event]]]:
        """Each operation of this name with its events."""
        for number, operation in enumerate(self.operations):
            if operation.name == name:
                yield operation, self.events(number)


def recording_paths() -> list[Path]:
    """The files of the corpus, sorted by name."""
    return sorted(DIRECTORY.glob("*.jsonl.gz"))


@cache
def load_recording(path: Path) -> Recording:
    """Read one file."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        header = json.loads(file.readline())
        rows = [json.loads(line) for line in file]
    if header.pop("format") != FORMAT:
        raise ValueError(f"{path}: not a recording")
    operations = [Operation(**operation) for operation in header.pop("operations")]
    return Recording(
        **header,
        operations=operations,
        versions=[ObjectVersion(*row[:7]) for row in rows],
        operation_of=[row[7] for row in rows],
        step_of=[row[8] for row in rows],
    )


def load_corpus() -> list[Recording]:
    """All honest recordings."""
    return [recording for recording in map(load_recording, recording_paths()) if recording.scenario != ATTACKED]


def load_attacked() -> list[Recording]:
    """The recordings of buckets that were attacked."""
    return [recording for recording in map(load_recording, recording_paths()) if recording.scenario == ATTACKED]


def write_recording(recording: Recording) -> Path:
    """Write a file; returns its path. Equal recordings make equal files."""
    fields = ("server", "server_version", "restic", "scenario")
    header = {"format": FORMAT, **{name: getattr(recording, name) for name in fields}}
    header["operations"] = [asdict(operation) for operation in recording.operations]
    rows = zip(recording.versions, recording.operation_of, recording.step_of, strict=True)
    lines = [json.dumps(header), *(json.dumps([*version[:7], *rest], separators=(",", ":")) for version, *rest in rows)]
    path = DIRECTORY / f"{recording.name}.jsonl.gz"
    with path.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as file:
        file.write(("\n".join(lines) + "\n").encode())
    return path
