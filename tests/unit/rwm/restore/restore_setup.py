"""A bucket in memory, an index, and a directory to restore into."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rwm.errors import RwmError
from rwm.index import Index
from rwm.location import Location
from rwm.model import StateInfo
from rwm.restore import RestoreResult, StatePart, restore_to_bucket, restore_to_directory
from rwm.states.capture import capture_state
from tests.unit.memory import MemoryS3

BUCKET = "bucket1"

HOSTILE = (
    "../outside",
    "../../outside",
    "a/../../../outside",
    "/etc/outside",
    "//outside",
    "./outside",
    "..",
    ".",
    "a/..",
    "a//b",
    "a/",
    "nul\0within",
    "n" * 256,
    "file",
    "file/below",
)
"""Keys that name something outside the directory, or that a filesystem cannot show."""


class RestoreSetup:
    """``target`` does not exist yet. Everything else below ``directory`` must stay as it is."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.target = directory / "outer" / "target"
        self.target.parent.mkdir()
        self.s3 = MemoryS3(BUCKET)
        self.index = Index.open(directory / "index.sqlite")

    def capture(self, *keys: str, prefix: str = "") -> StateInfo:
        """Put these keys, each with its own name as content, and capture what is below a prefix of the bucket."""
        for key in keys:
            self.s3.put(BUCKET, key, key.encode())
        return capture_state(self.s3, self.index, Location(BUCKET, prefix))

    def restore(self, info: StateInfo, prefix: str = "") -> RestoreResult:
        return restore_to_directory(self.s3, StatePart(self.index, info, prefix), self.target)

    def copy(self, info: StateInfo, target: str = "new", prefix: str = "") -> RestoreResult:
        return restore_to_bucket(self.s3, StatePart(self.index, info, prefix), Location.parse(target))

    def files(self, top: Path | None = None) -> dict[str, bytes]:
        """Content of every file below a directory, by relative path."""
        top = top or self.target
        return {str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()}

    def fail_reads(self, faults: dict[str, list[RwmError]]) -> list[str]:
        """Cut off reads (and copies) of a key with each of its errors in turn. Returns the growing list of reads."""
        read: list[str] = []
        stream = self.s3.stream

        def broken(bucket: str, key: str, version_id: str | None = None, etag: str | None = None) -> Iterator[bytes]:
            read.append(key)
            body = stream(bucket, key, version_id, etag)
            if faults.get(key):
                yield next(body)
                raise faults[key].pop(0)
            yield from body

        self.s3.stream = broken  # type: ignore[method-assign]
        return read
