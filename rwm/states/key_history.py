"""The history of one key as spans of time: which version was current when. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from functools import cached_property
from operator import itemgetter
from typing import NamedTuple

from rwm.model import ObjectVersion

ALWAYS = 1 << 63
"""Milliseconds: later than every time."""


class Span(NamedTuple):
    """The times at which ``version`` is current: it is the last one written before ``t``, if ``after < t <= until``."""

    after: int
    until: int
    version: ObjectVersion


class KeyHistory:
    """All entries of a key, newest first in listing order. That order decides, because times may run backwards."""

    def __init__(self, entries: Sequence[ObjectVersion]) -> None:
        self._entries = entries
        self.by_id = {version.version_id: version for version in entries}
        self.spans: list[Span] = []  # newest first
        until = ALWAYS
        for version in entries:
            if version.last_modified < until:
                self.spans.append(Span(version.last_modified, until, version))
                until = version.last_modified

    @cached_property
    def oldest(self) -> ObjectVersion:
        """The first version of the key, without delete markers. The key must have one."""
        return next(version for version in reversed(self._entries) if not version.is_marker)

    @cached_property
    def _span_of(self) -> dict[str, Span]:
        return {span.version.version_id: span for span in self.spans}

    @cached_property
    def _deletions(self) -> list[Span]:
        return [span for span in reversed(self.spans) if span.version.is_marker]

    def was_current(self, version: ObjectVersion, start: int, last: int) -> bool:
        """Whether the version was current at any time from just before ``start`` to ``last``, inclusive."""
        span = self._span_of.get(version.version_id)
        return span is not None and span.after <= last and span.until >= start

    def was_deleted(self, start: int, last: int) -> bool:
        """Whether a delete marker was current at any time from just before ``start`` to ``last``, inclusive."""
        number = bisect_left(self._deletions, start, key=itemgetter(1))
        return number < len(self._deletions) and self._deletions[number].after <= last
