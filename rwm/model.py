"""The values everything else speaks of. Pure: no I/O, no imports from the rest of RWM.

Times are integers, milliseconds since 1970-01-01 UTC (S3 listings know no more). Sizes are bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

Origin = Literal["backup", "capture", "past", "original"]
"""How a state came to be: after ``rwm backup``, by ``rwm state capture``, from history alone (``--at``), or from a
state file of the original tool."""

Outcome = Literal["ok", "partial", "failed"]
"""How the backup ended that a state was captured after."""

OWN_PREFIX = "rwm/"
"""RWM's own objects in a bucket live below this prefix and are never part of a state."""


class ObjectVersion(NamedTuple):
    """One entry of a bucket's version listing: an object version or a delete marker.

    ``version_id`` is ``"null"`` for what was written before versioning. For a marker ``size`` is 0 and
    ``etag`` empty. ``etag`` carries no quotes.
    """

    key: str
    version_id: str
    is_latest: bool
    is_marker: bool
    size: int
    etag: str
    last_modified: int


class Entry(NamedTuple):
    """One key of a state and the version that was current."""

    key: str
    version_id: str
    size: int
    etag: str
    last_modified: int


class Change(NamedTuple):
    """What one state has otherwise than another: ``entry`` under ``key``, or nothing (None) where the other has it."""

    key: str
    entry: Entry | None


class Difference(NamedTuple):
    """A key that two states do not share; None where a state has no such key."""

    key: str
    before: Entry | None
    after: Entry | None


@dataclass(frozen=True, slots=True)
class StateInfo:
    """A state without its entries. ``captured_at`` is a whole second; ``outcome`` is None without a backup."""

    id: str
    bucket: str
    captured_at: int
    origin: Origin
    objects: int
    bytes: int
    outcome: Outcome | None = None


Trust = Literal["own", "unchecked", "verified", "unknown", "contradicted"]
"""What is known of a recorded state's truth: captured with this index (own), not compared yet (unchecked), or what a
comparison with the bucket's own history found: all of it is so (verified), the history does not reach back far enough
to tell (unknown), it says otherwise (contradicted).
"""


@dataclass(frozen=True, slots=True)
class RecordedState:
    """A state in an index; ``checked_at`` is when it was compared with the bucket's history, None if it was not."""

    info: StateInfo
    trust: Trust
    checked_at: int | None = None


class StoredFile(NamedTuple):
    """A state's file in its bucket: compressed bytes, and the id of the state it builds upon (None: a full one)."""

    size: int
    base: str | None


class TreeNode(NamedTuple):
    """A name within a directory of a state: a file (``entry``) or a directory (``directory``), never both."""

    name: str
    directory: int | None
    entry: Entry | None


class UploadOrder(Protocol):
    """The packs of a state in the order of their upload. Its methods may be called from one thread at a time."""

    def rank(self, entry: Entry) -> int | None:
        """The place of a pack, counted from 0; None for what is none."""

    def entry(self, rank: int) -> Entry | None:
        """The pack of a place, or None after the last one."""

    def close(self) -> None:
        """Let go of it."""


class StateTree(Protocol):
    """A state as directories, read on demand. Directory ids mean something to the same tree only.

    Only what a filesystem can show is in it: hidden keys are counted by ``hidden_count`` and listed by
    ``hidden_keys``. All methods but ``upload_order`` may be called from one thread only.
    """

    root: int
    info: StateInfo

    def child(self, directory: int, name: str) -> TreeNode | None:
        """The file or directory of that name, or None."""

    def children(self, directory: int, after: str = "", limit: int = 1000) -> list[TreeNode]:
        """Up to ``limit`` children with ``name > after``, sorted by name (by code point)."""

    def hidden_count(self) -> int:
        """How many keys of the state have no path."""

    def upload_order(self) -> UploadOrder:
        """Its packs in the order of their upload. May take a second for each million; any thread may ask."""


class ObjectReader(Protocol):
    """Reads versions of one bucket and can do nothing else. Safe to call from any thread."""

    bucket: str

    def read_range(
        self,
        key: str,
        version_id: str,
        start: int,
        stop: int,
        wanted: Callable[[], bool] = lambda: True,
        etag: str = "",
    ) -> bytes | memoryview:
        """Bytes ``start`` to ``stop`` (exclusive) of that version: exactly ``stop - start`` of them.

        ``etag`` is what its content had when it was listed. It is compared, if it is an MD5 sum, where the version id
        does not tell: what is called ``null`` is overwritten by whatever is written without versioning.

        ``wanted`` is asked now and then; once it says no, Cancelled is raised. Raises NotFound when the version is
        gone, AccessDenied, Unreachable when there is no usable answer, or BadResponse for one that cannot be right.
        """
