"""The values and interfaces that all rooms share. Pure: no I/O.

Times are integers, milliseconds since 1970-01-01 UTC (the precision of S3 listings). Sizes are bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Literal, NamedTuple, Protocol, overload

from rwm.location import Location

Origin = Literal["backup", "capture", "past", "original"]
"""What made a state: ``rwm backup``, ``rwm state capture``, the same from history (``--at``), or the original tool."""

Outcome = Literal["ok", "partial", "failed"]
"""The outcome of the backup after which a state was captured."""

ARCHIVE_CLASSES = frozenset({"GLACIER", "DEEP_ARCHIVE"})
"""Storage classes whose objects cannot be read before RestoreObject has retrieved them, as Amazon S3 names them."""


class ObjectVersion(NamedTuple):
    """One entry of a bucket's version listing: an object version or a delete marker.

    ``version_id`` is ``"null"`` for an object written without versioning. ``etag`` is without quotes. A delete marker
    has size 0 and an empty ``etag``. ``storage_class`` is None for STANDARD, and where the server names none.
    """

    key: str
    version_id: str
    is_latest: bool
    is_marker: bool
    size: int
    etag: str
    last_modified: int
    storage_class: str | None = None


class VersionBatch(Sequence[ObjectVersion]):
    """Some entries of a version listing as columns, in the order of the fields of ObjectVersion, and as a sequence.

    Work column by column costs a fraction of the same work entry by entry. The ObjectVersions are created on first
    access. ``storage_classes`` is None when all are None.
    """

    def __init__(
        self,
        keys: Sequence[str],
        version_ids: Sequence[str],
        is_latest: Sequence[bool],
        is_marker: Sequence[bool],
        sizes: Sequence[int],
        etags: Sequence[str],
        last_modified: Sequence[int],
        storage_classes: Sequence[str | None] | None = None,
    ) -> None:
        self.keys = keys
        self.version_ids = version_ids
        self.is_latest = is_latest
        self.is_marker = is_marker
        self.sizes = sizes
        self.etags = etags
        self.last_modified = last_modified
        self.storage_classes = storage_classes if storage_classes and any(storage_classes) else None

    @classmethod
    def of(cls, versions: Sequence[ObjectVersion]) -> VersionBatch:
        """The batch of these versions."""
        if isinstance(versions, cls):
            return versions
        return cls(*zip(*versions, strict=True)) if versions else cls([], [], [], [], [], [], [])

    @cached_property
    def _versions(self) -> list[ObjectVersion]:
        columns = (self.keys, self.version_ids, self.is_latest, self.is_marker, self.sizes, self.etags)
        classes = self.storage_classes or [None] * len(self.keys)
        rows = zip(*columns, self.last_modified, classes, strict=True)
        return list(map(partial(tuple.__new__, ObjectVersion), rows))  # as _make, without its check of the length

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[ObjectVersion]:
        return iter(self._versions)

    @overload
    def __getitem__(self, position: int) -> ObjectVersion: ...
    @overload
    def __getitem__(self, position: slice) -> list[ObjectVersion]: ...
    def __getitem__(self, position: int | slice) -> ObjectVersion | list[ObjectVersion]:
        return self._versions[position]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._versions == list(other)

    __hash__ = None  # type: ignore[assignment]  # as a list has none


class ListedClasses(NamedTuple):
    """Columns of versions that a listing shows in another storage class than STANDARD, at least one."""

    keys: Sequence[str]
    version_ids: Sequence[str]
    storage_classes: Sequence[str]

    @classmethod
    def of(cls, batch: VersionBatch) -> ListedClasses | None:
        """Those of the batch; None without any, which costs nothing."""
        if batch.storage_classes is None:
            return None
        rows = zip(batch.keys, batch.version_ids, batch.storage_classes, strict=True)
        return cls(*zip(*((key, version_id, name) for key, version_id, name in rows if name), strict=True))


class ClassCount(NamedTuple):
    """How many objects, or object versions, are in a storage class, and their size in bytes."""

    objects: int
    bytes: int


@dataclass(frozen=True, slots=True)
class StorageClasses:
    """What is in storage classes other than STANDARD, by class.

    ``listed_at`` is the server's time of the listing that showed it, None when no listing has shown all of it: then
    there may be more. A lifecycle rule may have moved more since.
    """

    listed_at: int | None
    counts: Mapping[str, ClassCount] = field(default_factory=dict)

    @property
    def archived(self) -> ClassCount:
        """What must be retrieved from the archive before it can be read."""
        found = [count for name, count in self.counts.items() if name in ARCHIVE_CLASSES]
        return ClassCount(sum(count.objects for count in found), sum(count.bytes for count in found))


class Entry(NamedTuple):
    """A key of a state, with the version that was current."""

    key: str
    version_id: str
    size: int
    etag: str
    last_modified: int


class EntryBatch(NamedTuple):
    """One or more entries as columns: work column by column costs a fraction of the same work entry by entry.

    The values at one position in all columns are one entry.
    """

    keys: Sequence[str]
    version_ids: Sequence[str]
    sizes: Sequence[int]
    etags: Sequence[str]
    last_modified: Sequence[int]

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> EntryBatch:
        """The batch of these entries."""
        return cls(*zip(*entries, strict=True))

    def entries(self) -> Iterator[Entry]:
        """The entries one by one, in an eighth of the time of calling Entry for each."""
        return map(partial(tuple.__new__, Entry), zip(*self, strict=True))

    def part(self, start: int, stop: int) -> EntryBatch:
        """The entries from position ``start`` to before ``stop``."""
        keys, version_ids, sizes, etags, last_modified = self
        part = slice(start, stop)
        return EntryBatch(keys[part], version_ids[part], sizes[part], etags[part], last_modified[part])

    def entry(self, position: int) -> Entry:
        """The entry at a position."""
        keys, version_ids, sizes, etags, last_modified = self
        return Entry(keys[position], version_ids[position], sizes[position], etags[position], last_modified[position])


class Change(NamedTuple):
    """A change from one state to another: ``key`` has the new ``entry``, or is removed (None)."""

    key: str
    entry: Entry | None


class Difference(NamedTuple):
    """A key that differs between two states; None if a state does not have the key."""

    key: str
    before: Entry | None
    after: Entry | None


@dataclass(frozen=True, slots=True)
class StateInfo:
    """A state without its entries, which are all below ``prefix`` (:class:`rwm.location.Location`).

    ``captured_at`` is a whole second; ``outcome`` is None without a backup.
    """

    id: str
    bucket: str
    captured_at: int
    origin: Origin
    objects: int
    bytes: int
    outcome: Outcome | None = None
    prefix: str = ""

    @property
    def location(self) -> Location:
        """What the state is of."""
        return Location(self.bucket, self.prefix)


Trust = Literal["own", "unchecked", "verified", "unknown", "contradicted"]
"""Whether a recorded state is known to be true: captured with this index (own), not compared with the bucket's own
history yet (unchecked), or compared: all entries agree (verified), some versions are gone from the history (unknown),
some entries differ (contradicted).
"""


LATEST, LAST_CLEAN = "latest", "last-clean"
"""Names of states that need a location: the newest one, and the newest one that an audit found clean there."""

Verdict = Literal["clean", "review", "suspect"]
"""What an audit says of a state: nothing found, an open hint is in it, or a consequence of a proof is in it."""


@dataclass(frozen=True, slots=True)
class RecordedState:
    """A state in an index. ``checked_at`` is when it was compared with the bucket's history, None if it was not.

    ``verdict`` is that of the last audit, at ``audited_at``, on what the state has below the location that was asked
    for; None if no audit judged it.
    """

    info: StateInfo
    trust: Trust
    checked_at: int | None = None
    verdict: Verdict | None = None
    audited_at: int | None = None

    def is_confirmed_for(self, location: Location) -> bool:
        """Whether it covers the location and has anything, and was captured here or confirmed by the history."""
        return self.info.location.covers(location) and self.trust in ("own", "verified") and self.info.objects > 0


class PartVerdict(NamedTuple):
    """The verdict of an audit on what a state has below a prefix. ``audited_at`` in milliseconds."""

    prefix: str
    verdict: Verdict
    audited_at: int


class Acknowledgement(NamedTuple):
    """That a person has judged findings of an audit up to the time ``until``. ``at`` is when; in milliseconds.

    ``what`` is the id of a finding or the code of a rule.
    """

    what: str
    until: int
    at: int
    note: str


Level = Literal["structure", "content", "restic"]
"""How a state was verified: presence, size and ETag of its versions; SHA-256 of their content; ``restic check``."""


class Verification(NamedTuple):
    """The result of the last verification of a state at a level.

    ``checked_at`` is the server's time at its beginning. ``objects`` and ``bytes`` were found right, in this or an
    earlier verification, of ``total_bytes`` that the level can prove. ``faults`` counts what is wrong or missing.
    """

    checked_at: int
    objects: int
    bytes: int
    total_bytes: int
    faults: int


class FrozenUser(NamedTuple):
    """An account that may write nothing in a bucket until it is thawed. ``user`` is a principal of the policy.

    ``reads`` says whether it may still read; ``since`` is the server's time in milliseconds.
    """

    user: str
    reads: bool
    since: int
    note: str


class Freeze(NamedTuple):
    """A frozen bucket: its policy (None: it had none) and lifecycle rules before, and who is frozen.

    Without ``users`` a thaw has begun, and its end is not recorded.
    """

    bucket: str
    admin: str
    policy: dict[str, Any] | None
    lifecycle: list[dict[str, Any]]
    users: tuple[FrozenUser, ...] = ()


class StoredFile(NamedTuple):
    """The file of a state in its bucket: compressed size, and the id of a delta's base state (None: a full file)."""

    size: int
    base: str | None


class TreeNode(NamedTuple):
    """A name in a directory of a state: a file (``entry``) or a directory (``directory`` is its id), never both."""

    name: str
    directory: int | None
    entry: Entry | None


class UploadOrder(Protocol):
    """The packs of a repository in the order of their upload. Methods may be called from one thread at a time."""

    def rank(self, entry: Entry) -> int | None:
        """The position of a pack, counted from 0; None if the entry is not a pack."""

    def entry(self, rank: int) -> Entry | None:
        """The pack at a position, or None after the last one."""

    def close(self) -> None:
        """Release its resources."""


class StateTree(Protocol):
    """A state, or what it has below a prefix, as a directory tree. Directory ids are valid for the same tree only.

    Hidden keys, which a filesystem cannot show, are not in the tree; ``hidden_count`` counts them.
    All methods except ``upload_order`` must be called from one thread.
    """

    root: int
    prefix: str
    """The prefix of all keys in the tree."""
    info: StateInfo

    def child(self, directory: int, name: str) -> TreeNode | None:
        """The file or directory of that name, or None."""

    def children(self, directory: int, after: str = "", limit: int = 1000) -> list[TreeNode]:
        """Up to ``limit`` children with ``name > after``, sorted by name (by code point)."""

    def totals(self) -> tuple[int, int]:
        """Objects and bytes in the tree, hidden keys included."""

    def hidden_count(self) -> int:
        """The number of hidden keys below the prefix."""

    def upload_order(self, root: str) -> UploadOrder:
        """The packs of the repository whose prefix is ``root``, in the order of their upload.

        Takes about a second for a million; callable from any thread.
        """


class ObjectReader(Protocol):
    """Reads object versions of one bucket, and has no other operation. Thread-safe."""

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
        """Read the bytes from ``start`` to ``stop`` (exclusive) of a version: exactly ``stop - start`` bytes.

        ``etag`` is the listed one. For the version ``null`` it is compared if it is an MD5 sum: a write without
        versioning overwrites that version, so the version id alone does not identify the content.

        ``wanted`` is polled during the request; Cancelled is raised once it returns False. Raises NotFound if the
        version does not exist, AccessDenied, Unreachable without a usable answer, BadResponse for an invalid one.
        """
