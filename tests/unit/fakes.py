"""A state and a bucket in memory, behind the same interfaces as the real ones."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import trio

from rwm.errors import NotFound
from rwm.model import Entry, ObjectReader, StateInfo, TreeNode
from rwm.names import hidden_keys
from rwmfs.read.counters import Counters
from rwmfs.read.fetcher import Fetcher
from rwmfs.read.reader import Reader

STATE_ID = "1234567890abcdef" * 4


class FakeTree:
    """A StateTree over a list of entries: what the index has to do, in the plainest way."""

    def __init__(self, entries: Iterable[Entry], bucket: str = "bucket1", prefix: str = "") -> None:
        entries = sorted(entry for entry in entries if entry.key.startswith(prefix))
        self.root = 0
        self.prefix = prefix
        self.hidden = hidden_keys(entry.key for entry in entries)
        self._directories: list[dict[str, TreeNode]] = [{}]
        self._sorted: dict[int, list[str]] = {}
        for entry in entries:
            if entry.key not in self.hidden:
                self._add(entry)
        size = sum(entry.size for entry in entries)
        self.info = StateInfo(STATE_ID, bucket, 1_700_000_000_000, "capture", len(entries), size)

    def _add(self, entry: Entry) -> None:
        *above, name = entry.key.removeprefix(self.prefix).split("/")
        directory = self.root
        for part in above:
            node = self._directories[directory].get(part)
            if node is None:
                self._directories.append({})
                node = self._directories[directory][part] = TreeNode(part, len(self._directories) - 1, None)
            assert node.directory is not None
            directory = node.directory
        self._directories[directory][name] = TreeNode(name, None, entry)

    def child(self, directory: int, name: str) -> TreeNode | None:
        return self._directories[directory].get(name)

    def children(self, directory: int, after: str = "", limit: int = 1000) -> list[TreeNode]:
        names = self._names(directory)
        start = bisect_right(names, after)
        return [self._directories[directory][name] for name in names[start : start + limit]]

    def _names(self, directory: int) -> list[str]:
        if directory not in self._sorted:
            self._sorted[directory] = sorted(self._directories[directory])
        return self._sorted[directory]

    def totals(self) -> tuple[int, int]:
        return self.info.objects, self.info.bytes

    def hidden_count(self) -> int:
        return len(self.hidden)

    def upload_order(self, root: str) -> FakeOrder:
        entries = [node.entry for names in self._directories for node in names.values() if node.entry is not None]
        return FakeOrder([entry for entry in entries if entry.key.startswith(f"{root}data/")])


class FakeOrder:
    """An UploadOrder over a list of entries."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries = sorted(entries, key=lambda entry: (entry.last_modified, entry.key))

    def rank(self, entry: Entry) -> int | None:
        return self._entries.index(entry) if entry in self._entries else None

    def entry(self, rank: int) -> Entry | None:
        return self._entries[rank] if rank < len(self._entries) else None

    def close(self) -> None:
        self._entries = []


class FakeBucket:
    """An ObjectReader over a function from key to content. Counts requests; ``fault`` may raise in any of them."""

    def __init__(self, content: Callable[[str], bytes], bucket: str = "bucket1") -> None:
        self.bucket = bucket
        self.content = content
        self.requests: list[tuple[str, int, int]] = []
        self.fault: Callable[[str, int, int], object] = lambda *_: None
        self._lock = threading.Lock()

    def read_range(
        self,
        key: str,
        version_id: str,
        start: int,
        stop: int,
        wanted: Callable[[], bool] = lambda: True,
        etag: str = "",
    ) -> bytes:
        with self._lock:
            self.requests.append((key, start, stop))
        self.fault(key, start, stop)
        if version_id != version_of(key):
            raise NotFound(f"no version {version_id} of {key}")
        return self.content(key)[start:stop]


def version_of(key: str) -> str:
    return f"v-{abs(hash(key)) % 1000}"


def entry_for(key: str, size: int) -> Entry:
    return Entry(key, version_of(key), size, f"etag-{size}", 1_700_000_000_000)


def fake_state(files: Mapping[str, bytes]) -> tuple[FakeTree, FakeBucket]:
    """A state of these files, and the bucket that holds them."""
    return FakeTree(entry_for(key, len(data)) for key, data in files.items()), FakeBucket(files.__getitem__)


def state_of_directory(root: Path) -> tuple[FakeTree, FakeBucket]:
    """All files below a real directory as a state, read into memory now."""
    return fake_state({str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()})


def fake_reader(bucket: ObjectReader, nursery: trio.Nursery, memory: int = 1 << 20) -> Reader:
    """A reader of a bucket with so many bytes of memory, and no disk."""
    return Reader(Fetcher(bucket, Counters()), memory, nursery)
