"""Plan a roll back: compare one listing of a location with a state. Changes nothing.

Locks of restic are not brought back: whoever held them is long gone. Those that were added since are removed as
everything else. RWM's own keys are not touched.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Self

from rwm.index import Index
from rwm.location import Location
from rwm.model import Entry, ObjectVersion, StateInfo
from rwm.rollback.change_spool import ChangeSpool
from rwm.rollback.key_plan import IsCopyOf, KeyPlan, Mode, Problem, plan_key
from rwm.rollback.sorted_listing import Keyed, Progress, Watch, join, list_sorted, unwatched
from rwm.s3 import COPY_LIMIT, S3, part_ranges
from rwm.trust import OwnChanges

MAX_NAMED = 100
"""Keys that cannot be brought back which are named; all are counted."""

BATCH = 100
"""Delete markers in one request. Servers do one after the other: smaller requests keep more threads busy."""

_LOCKS = "/locks"


@dataclass
class RollbackPlan:
    """What brings a location back. ``kind`` is that of the operation, ``note`` says to what.

    ``copied_bytes`` are copied on the server. ``locks`` counts the state's locks that are not brought back,
    ``differing`` the keys that are changed, ``kept`` those that need nothing, ``added`` those that the state does not
    have and an undelete leaves. ``named`` are some of the keys with problems.
    """

    location: Location
    kind: str
    note: str
    spool: ChangeSpool = field(default_factory=ChangeSpool)
    copies: int = 0
    copied_bytes: int = 0
    unmarked: int = 0
    marked: int = 0
    differing: int = 0
    kept: int = 0
    added: int = 0
    locks: int = 0
    problems: Counter[Problem] = field(default_factory=Counter)
    named: list[tuple[str, Problem]] = field(default_factory=list)
    _parts: int = 0

    @property
    def changes(self) -> int:
        """How many copies and delete markers."""
        return self.copies + self.unmarked + self.marked

    @property
    def requests(self) -> int:
        """How many requests change something."""
        return self.copies + self._parts + -(-self.unmarked // BATCH) + -(-self.marked // BATCH)

    def add(self, key: str, found: KeyPlan) -> None:
        """Add what one key needs."""
        if found.problem:
            self.problems[found.problem] += 1
            if len(self.named) < MAX_NAMED:
                self.named.append((key, found.problem))
        self.kept += not found.problem and not found.changes
        self.differing += bool(found.changes)
        for change in found.changes:
            self.spool.add(change)
            self.copies += change.did == "copied"
            self.unmarked += change.did == "unmarked"
            self.marked += change.did == "marked"
            if change.did == "copied":
                self.copied_bytes += change.size
                if change.size > COPY_LIMIT:
                    self._parts += len(part_ranges(change.size)) + 2

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.spool.close()

    @contextmanager
    def being_made(self) -> Iterator[None]:
        """Free the space if the block fails."""
        with ExitStack() as stack:
            stack.callback(self.spool.close)
            yield
            stack.pop_all()


def plan_rollback(
    s3: S3,
    index: Index,
    info: StateInfo,
    prefix: str = "",
    mode: Mode = "roll-back",
    progress: Progress = lambda count: None,
    watch: Watch = unwatched,
) -> RollbackPlan:
    """List the state's location, or what is below a longer prefix in it, and plan what makes it equal to the state.

    ``progress`` gets the number of versions listed, ``watch`` all of them on their way.
    Raises the errors of the listing and of the index.
    """
    location = info.part(prefix if len(prefix) > len(info.prefix) else None)
    is_copy_of = own_copies(index, location)
    plan = RollbackPlan(location, mode, f"state {info.id}")
    with plan.being_made(), list_sorted(s3, location, progress) as listed:
        for key, wanted, history in join(_entries(index, info, location), watch(listed)):
            if wanted is not None and _is_lock(key):
                if history and not plan_key(history, wanted, mode, is_copy_of).changes:
                    plan.kept += 1
                    continue
                plan.locks += 1
                wanted = None
            if mode == "undelete" and wanted is None and history and not history[0].is_marker:
                plan.added += 1
                continue
            plan.add(key, plan_key(history, wanted, mode, is_copy_of))
    return plan


def own_copies(index: Index, location: Location) -> IsCopyOf:
    """Tells copies of RWM that have another ETag than their source: multipart ones, and encrypted ones."""
    own = OwnChanges(index.operations.changes(location))

    def is_copy_of(version: ObjectVersion, entry: Entry) -> bool:
        return version.size == entry.size and own.is_copy(version.key, version.version_id, entry.version_id)

    return is_copy_of


def _entries(index: Index, info: StateInfo, location: Location) -> Iterator[Keyed[Entry]]:
    return (Keyed(entry.key, entry) for entry in index.entries(info, location.prefix))


def _is_lock(key: str) -> bool:
    return f"/{key}".rpartition("/")[0].endswith(_LOCKS)
