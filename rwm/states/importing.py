"""Taking states into the index that come as files: from the bucket, or from anywhere else."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from types import TracebackType
from typing import IO, NamedTuple, Self

from rwm.errors import BadResponse, BadState, RwmError, Unreachable
from rwm.index import Index
from rwm.model import Change, Entry, StateInfo, StoredFile
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
"""Opens a file from its beginning; a delta is read twice."""

CHAIN_MAX = 1000
"""Deltas that a state may be read from, one upon the other. RWM writes 100."""


class ImportSource(NamedTuple):
    """A state file. ``label`` is its key or path, ``name`` what that says, ``size`` its compressed bytes.

    ``is_stored`` says that it lies in its bucket, where a delta may build upon it.
    """

    label: str
    open: Reopen
    name: FileName | None
    size: int
    is_stored: bool


class _TooLong(BadState):
    """A chain of deltas that may be shorter when more of it is recorded."""


class StateImporter:
    """Keeps the state that was read last in a temporary table, because the next one mostly builds upon it.

    ``find`` gives the file of a state that is not in the index, None where there is none. ``bucket`` is the one that
    states have to be of; None takes any.
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
        self._spool = index.incoming()
        self._spooled: StateInfo | None = None
        self._applied = ""
        self._hopeless: dict[str, RwmError] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._spool.close()

    def import_state(self, source: ImportSource) -> tuple[StateInfo, bool]:
        """Read the file, prove its id, and record its state as unchecked; False when it is recorded already.

        Raises BadState for a file that is not whole, is not what its id or its name says, or builds upon a state that
        cannot be had. Nothing is recorded then.
        """
        info, base = self._read(source)
        stored = StoredFile(source.size, base.id if base else None) if source.is_stored else None
        if base is not None and self._record_delta(source, info, base, stored):
            return info, True
        return info, self._index.record(info, self._spool, trust="unchecked", stored=stored)

    def _record_delta(self, source: ImportSource, info: StateInfo, base: StateInfo, stored: StoredFile | None) -> bool:
        """Only what changed is written, if the base happens to be the state before."""
        with source.open() as content:
            again = open_state_file(content, source.label)
            assert isinstance(again, DeltaState)
            changes = self._proven_before(again.changes())
            return self._index.record_changes(info, base, changes, trust="unchecked", stored=stored)

    def _proven_before(self, changes: Iterable[Change]) -> Iterator[Change]:
        """The same changes, which have to be those that made the proven state."""
        digest = hashlib.sha256()
        yield from _digested(changes, digest)
        if digest.hexdigest() != self._applied:
            raise BadState("it was another file when it was read once more")

    def _read(self, source: ImportSource) -> tuple[StateInfo, StateInfo | None]:
        """Spool the state, and what it builds upon before it; the state, and the base where it is a delta."""
        todo = [source]
        upon: list[str] = []  # ids of the bases that have to be read first
        try:
            return self._read_all(todo, upon)
        except (_TooLong, Unreachable):
            raise
        except RwmError as error:
            self._hopeless.update(dict.fromkeys(upon, error))
            raise

    def _read_all(self, todo: list[ImportSource], upon: list[str]) -> tuple[StateInfo, StateInfo | None]:
        while True:
            current = todo[-1]
            with current.open() as content:
                file = open_state_file(content, current.label)
                if not isinstance(file, OriginalState):
                    self._fits(current, file.info)
                base = None
                if isinstance(file, OriginalState):
                    self._load_original(current, file)
                elif isinstance(file, FullState):
                    self._load(file)
                elif self._has_spooled(file.base):
                    base = self._base_of(file)
                    self._apply(file)
                else:
                    upon.append(file.base)
                    todo.append(self._file_of(file.base, todo))
                    continue
            assert self._spooled
            if current.name and current.name.id != self._spooled.id:
                raise BadState(f"its content has the id {self._spooled.id}")
            todo.pop()
            if not todo:
                return self._spooled, base
            upon.pop()

    def _fits(self, source: ImportSource, info: StateInfo) -> None:
        if self._bucket is not None and info.bucket != self._bucket:
            raise BadState(f"it is of another bucket: {info.bucket}")
        if source.is_stored and source.name and info.origin == "original":
            raise BadState("RWM keeps no states of the original tool there")
        if source.name and source.name.captured_at != info.captured_at:
            raise BadState(f"its header says another time than its name: {iso(info.captured_at)}")

    def _base_of(self, file: DeltaState) -> StateInfo:
        assert self._spooled
        if self._spooled.bucket != file.info.bucket:
            raise BadState(f"it builds upon a state of another bucket: {self._spooled.bucket}")
        return self._spooled

    def _file_of(self, state_id: str, todo: list[ImportSource]) -> ImportSource:
        if state_id in self._hopeless:  # or a row of files would be read as often as it is long
            raise self._hopeless[state_id]
        found = self._find(state_id)
        if found is None:
            raise BadState(f"it builds upon state {state_id[:12]}, which is neither in the index nor among the files")
        if any(found.label == source.label for source in todo):
            raise BadState(f"it builds upon state {state_id[:12]}, which builds upon it")
        if len(todo) > CHAIN_MAX:
            raise _TooLong(f"it builds upon more than {CHAIN_MAX} other files")
        return found

    def _has_spooled(self, state_id: str) -> bool:
        """Whether the state could be made the spooled one without its file."""
        if self._spooled and self._spooled.id == state_id:
            return True
        known = self._index.by_id(state_id)
        if known:
            self._fill(self._index.entries(known))
            self._spooled = known
        return known is not None

    def _load(self, file: FullState) -> None:
        self._fill(file.entries())
        self._prove(file.info)

    def _load_original(self, source: ImportSource, file: OriginalState) -> None:
        """Its entries come in any order, and what it is of may come after them."""
        self._spooled = None
        self._spool.clear()
        try:
            self._spool.add_latest(file.latest())
        except BadResponse as error:
            raise file.twice() from error
        info = file.info(*self._spool.totals())
        self._fits(source, info)
        self._spooled = identified_by_lines(info, self._spool.lines())

    def _apply(self, file: DeltaState) -> None:
        self._spooled = None
        digest = hashlib.sha256()
        self._spool.apply(_digested(file.changes(), digest))
        self._applied = digest.hexdigest()
        self._prove(identified_by_lines(file.info, self._spool.lines()), file.info.id)

    def _fill(self, entries: Iterable[Entry]) -> None:
        self._spooled = None
        self._spool.clear()
        self._spool.add(entries)

    def _prove(self, info: StateInfo, claimed: str | None = None) -> None:
        """The spooled state is ``info``: as many entries and bytes, and the id that the file claims."""
        if claimed not in (None, info.id):
            raise BadState(f"what it makes has the id {info.id}, not {claimed}")
        if self._spool.totals() != (info.objects, info.bytes):
            objects, size = self._spool.totals()
            raise BadState(
                f"its header says {info.objects} objects of {info.bytes} bytes, there are {objects} of {size}"
            )
        self._spooled = info


def _digested(changes: Iterable[Change], digest: hashlib._Hash) -> Iterator[Change]:
    """The same changes; their hash is complete at the end."""
    for change in changes:
        digest.update(change_text(change).encode())
        yield change
