"""Groups a version listing by key, in bounded memory also if a key has millions of entries. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from rwm.model import ObjectVersion
from rwm.trust.intervals import FOREVER

HALF = 500
"""The newest and the oldest entries of a key that are always kept."""

MAX_ENTRIES = 2 * HALF
"""Entries of a key up to which all are kept."""

MAX_SAMPLE = 1000
"""Entries between the newest and the oldest ones that are kept: the oldest one of each content."""

_BATCH = 4000  # entries


def group_keys(batches: Iterable[Iterable[ObjectVersion]]) -> Iterator[list[Sequence[ObjectVersion]]]:
    """Yield lists of keys, each with its entries in the order of the listing: newest first.

    A key with more than :data:`MAX_ENTRIES` entries is a :class:`LongHistory`.
    """
    keys: list[Sequence[ObjectVersion]] = []
    group: list[ObjectVersion] = []
    key: str | None = None
    count = 0
    for batch in batches:
        for entry in batch:
            if entry.key == key:
                group.append(entry)
                if len(group) == MAX_ENTRIES + 1 and type(group) is list:
                    group = LongHistory(group)
                continue
            if group:
                keys.append(group.finished() if isinstance(group, LongHistory) else group)
                count += len(group)
                if count >= _BATCH:
                    yield keys
                    keys, count = [], 0
            group, key = [entry], entry.key
    if group:
        keys.append(group.finished() if isinstance(group, LongHistory) else group)
    if keys:
        yield keys


class LongHistory(list[ObjectVersion]):
    """Some entries of one key, newest first: the newest, the oldest, and of the others one of each content.

    Every delete marker with an id of its own is beside the version that it removed, so that no removal is invented.
    """

    def __init__(self, entries: Iterable[ObjectVersion]) -> None:
        super().__init__()
        self.omitted = 0
        """How many entries are missing here; :attr:`omitted_from` and :attr:`omitted_until` are their outer times."""
        self.omitted_from = FOREVER
        self.omitted_until = 0
        self._sample: dict[tuple[int, str] | None, ObjectVersion] = {}
        self._oldest: deque[ObjectVersion] = deque()
        for entry in entries:
            self.append(entry)

    def append(self, entry: ObjectVersion) -> None:
        """Add the next entry, which is older than those before."""
        if len(self) < HALF:
            super().append(entry)
        elif not self._oldest and self[-1].is_marker:  # the newest entries end with a version
            if entry.is_marker:
                self._omit(self[-1])
                self[-1] = entry
            else:
                super().append(entry)
        else:
            self._oldest.append(entry)
            if len(self._oldest) > HALF:
                self._omit(self._oldest.popleft())

    def _omit(self, entry: ObjectVersion) -> None:
        """Keep the entry as the oldest of its content, or the null version, or leave it out."""
        content = None if entry.version_id == "null" else (entry.size, entry.etag)
        if entry.is_marker and content:
            self._leave_out(entry)
        elif content in self._sample:
            self._leave_out(self._sample.pop(content))
            self._sample[content] = entry  # the last one, because it is the oldest
        elif len(self._sample) < MAX_SAMPLE:
            self._sample[content] = entry
        else:
            self._leave_out(entry)

    def _leave_out(self, entry: ObjectVersion) -> None:
        self.omitted += 1
        self.omitted_from = min(self.omitted_from, entry.last_modified)
        self.omitted_until = max(self.omitted_until, entry.last_modified)

    def finished(self) -> LongHistory:
        """All that is kept, after the last entry was added."""
        self.extend(self._sample.values())
        self.extend(self._oldest)
        self._sample, self._oldest = {}, deque()
        return self
