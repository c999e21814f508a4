"""Import state files into the index, from their bucket or from local files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from types import TracebackType
from typing import IO, NamedTuple, Self

from rwm.errors import BadResponse, BadState, RwmError, Unreachable
from rwm.index import Index
from rwm.model import SHORT_ID, Change, Entry, StateInfo, StoredFile
from rwm.statefile import (
    DeltaState,
    FileName,
    FullState,
    OriginalState,
    change_text,
    identified_by_lines,
    open_state_file,
)
from rwm.times import iso

Reopen = Callable[[], AbstractContextManager[IO[bytes]]]
"""Opens a file at its start; called twice for a delta."""

MAX_CHAIN = 1000
"""Deltas in a chain from a state to its full base. RWM writes at most 100."""


class ImportSource(NamedTuple):
    """A state file to import.

    ``label`` is its key or path, ``name`` the parsed file name, ``size`` the compressed size in bytes. ``is_stored``
    says that the file is in the bucket of its state, where it may become the base of a delta.
    """

    label: str
    open: Reopen
    name: FileName | None
    size: int
    is_stored: bool


class _ChainTooLong(BadState):
    """A chain of deltas is too long. It becomes shorter when more of its states are recorded."""


class StateImporter:
    """Imports state files. The last state stays spooled, because it usually is the base of the next one.

    ``find`` returns the file of a state that is not in the index, or None. ``bucket`` is the required bucket of the
    states; None accepts any.
    """

    def __init__(
        self,
        index: Index,
        bucket: str | None = None,
        find: Callable[[str], ImportSource | None] = lambda state_id: None,
    ) -> None:
        self._index = index
        self._bucket = bucket
        self._find = find
        self._spool = index.import_spool()
        self._spooled: StateInfo | None = None
        self._changes_digest = ""
        self._failed_bases: dict[str, RwmError] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._spool.close()

    def import_state(self, source: ImportSource) -> tuple[StateInfo, bool]:
        """Read the file, verify its id, and record its state as unchecked. Returns the state and whether it is new.

        Raises BadState for a file that is incomplete, whose content does not have its id or its name, or whose base is
        not available. Nothing is recorded then.
        """
        info, base = self._spool_with_base(source)
        stored = StoredFile(source.size, base.id if base else None) if source.is_stored else None
        if base is not None and self._record_delta(source, info, base, stored):
            return info, True
        return info, self._index.record(info, self._spool, trust="unchecked", stored=stored)

    def _record_delta(self, source: ImportSource, info: StateInfo, base: StateInfo, stored: StoredFile | None) -> bool:
        """Record only the changes; False when too much changed in the index between the base and this state."""
        with source.open() as content:
            again = open_state_file(content, source.label)
            assert isinstance(again, DeltaState)
            changes = self._check_same_changes(again.changes())
            return self._index.record_changes(info, base, changes, trust="unchecked", stored=stored)

    def _check_same_changes(self, changes: Iterable[Change]) -> Iterator[Change]:
        """Yield the changes, and raise at the end unless they are those that were verified."""
        digest = hashlib.sha256()
        yield from _hash_changes(changes, digest)
        if digest.hexdigest() != self._changes_digest:
            raise BadState("the file changed between two reads")

    def _spool_with_base(self, source: ImportSource) -> tuple[StateInfo, StateInfo | None]:
        """Spool the state of the file, its bases first. Returns the state, and its base for a delta."""
        stack = [source]  # a file, its base, the base of that, ...
        base_ids: list[str] = []
        try:
            return self._spool_stack(stack, base_ids)
        except (_ChainTooLong, Unreachable):
            raise
        except RwmError as error:
            self._failed_bases.update(dict.fromkeys(base_ids, error))
            raise

    def _spool_stack(self, stack: list[ImportSource], base_ids: list[str]) -> tuple[StateInfo, StateInfo | None]:
        while True:
            current = stack[-1]
            with current.open() as content:
                file = open_state_file(content, current.label)
                if not isinstance(file, OriginalState):
                    self._check_header(current, file.info)
                base = None
                if isinstance(file, OriginalState):
                    self._spool_original(current, file)
                elif isinstance(file, FullState):
                    self._spool_full(file)
                elif self._spool_recorded(file.base):
                    base = self._spooled_base(file)
                    self._spool_delta(file)
                else:
                    base_ids.append(file.base)
                    stack.append(self._find_base(file.base, stack))
                    continue
            assert self._spooled
            if current.name and current.name.id != self._spooled.id:
                raise BadState(f"its content has the id {self._spooled.id}")
            stack.pop()
            if not stack:
                return self._spooled, base
            base_ids.pop()

    def _check_header(self, source: ImportSource, info: StateInfo) -> None:
        if self._bucket is not None and info.bucket != self._bucket:
            raise BadState(f"it is of another bucket: {info.bucket}")
        if source.is_stored and source.name and source.name.prefix != info.prefix:
            raise BadState(f"it is of {info.location}, which keeps its states elsewhere")
        if source.is_stored and source.name and info.origin == "original":
            raise BadState("RWM keeps no states of the original tool there")
        if source.name and source.name.captured_at != info.captured_at:
            raise BadState(f"its header says another time than its name: {iso(info.captured_at)}")

    def _spooled_base(self, file: DeltaState) -> StateInfo:
        assert self._spooled
        if self._spooled.location != file.info.location:
            raise BadState(f"it builds upon a state of {self._spooled.location}")
        return self._spooled

    def _find_base(self, state_id: str, stack: list[ImportSource]) -> ImportSource:
        if state_id in self._failed_bases:  # a chain of n files would be read n times otherwise
            raise self._failed_bases[state_id]
        found = self._find(state_id)
        if found is None:
            raise BadState(
                f"it builds upon state {state_id[:SHORT_ID]}, which is neither in the index nor among the files"
            )
        if any(found.label == source.label for source in stack):
            raise BadState(f"it builds upon state {state_id[:SHORT_ID]}, which builds upon it")
        if len(stack) > MAX_CHAIN:
            raise _ChainTooLong(f"it builds upon more than {MAX_CHAIN} other files")
        return found

    def _spool_recorded(self, state_id: str) -> bool:
        """Spool a recorded state from the index; False when it is not recorded."""
        if self._spooled and self._spooled.id == state_id:
            return True
        recorded = self._index.by_id(state_id)
        if recorded:
            self._replace_spool(self._index.entries(recorded))
            self._spooled = recorded
        return recorded is not None

    def _spool_full(self, file: FullState) -> None:
        self._replace_spool(file.entries())
        self._check_spooled(file.info)

    def _spool_original(self, source: ImportSource, file: OriginalState) -> None:
        """Spool a file of the original tool: entries in any order, possibly before the header fields."""
        self._spooled = None
        self._spool.clear()
        try:
            self._spool.add_latest(file.latest())
        except BadResponse as error:
            raise file.twice() from error
        info = file.info(*self._spool.totals())
        self._check_header(source, info)
        self._spooled = identified_by_lines(info, self._spool.lines())

    def _spool_delta(self, file: DeltaState) -> None:
        self._spooled = None
        digest = hashlib.sha256()
        self._spool.apply(_hash_changes(file.changes(), digest))
        self._changes_digest = digest.hexdigest()
        self._check_spooled(identified_by_lines(file.info, self._spool.lines()), file.info.id)

    def _replace_spool(self, entries: Iterable[Entry]) -> None:
        self._spooled = None
        self._spool.clear()
        self._spool.add(entries)

    def _check_spooled(self, info: StateInfo, claimed: str | None = None) -> None:
        """Accept the spool as ``info`` if its totals match, and the id is the claimed one."""
        if claimed not in (None, info.id):
            raise BadState(f"the state has the id {info.id}, not {claimed}")
        if self._spool.totals() != (info.objects, info.bytes):
            objects, size = self._spool.totals()
            raise BadState(
                f"its header says {info.objects} objects of {info.bytes} bytes, the entries are {objects} of {size}"
            )
        self._spooled = info


def _hash_changes(changes: Iterable[Change], digest: hashlib._Hash) -> Iterator[Change]:
    """Yield the changes and add them to the digest."""
    for change in changes:
        digest.update(change_text(change).encode())
        yield change
