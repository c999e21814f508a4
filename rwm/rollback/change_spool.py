"""Planned changes in temporary files, in the order in which they are to be made."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import IO

from rwm.errors import SpoolFull
from rwm.model import OperationChange
from rwm.private import temporary_file

_KIND = re.compile(r"(?:^|/)(data|index|snapshots)/[^/]*(?:/[^/]*)?$")
_BACK = {"index": 1, "snapshots": 2}
_AWAY = {"snapshots": 3, "index": 4}
_LAST = 5


def phase_of(change: OperationChange) -> int:
    """When a change is made: whatever is current at any moment, a snapshot that is there has its index and packs.

    What is brought back comes first, packs before indexes before snapshots; then what is hidden, in the reverse order.
    """
    found = _KIND.search(change.key)
    kind = found[1] if found else ""
    return _AWAY.get(kind, _LAST) if change.did == "marked" else _BACK.get(kind, 0)


def _temporary_file() -> IO[str]:
    return io.TextIOWrapper(temporary_file(), encoding="ascii", newline="\n")


class ChangeSpool:
    """Changes by phase. Takes any number in constant memory. To be closed. Raises SpoolFull."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._files: dict[int, IO[str]] = {}

    def add(self, change: OperationChange) -> None:
        """Add a change to its phase."""
        phase = phase_of(change)
        if phase not in self._files:
            self._files[phase] = self._stack.enter_context(_temporary_file())
        self._files[phase].write(json.dumps(change) + "\n")

    def phases(self) -> Iterator[Iterator[OperationChange]]:
        """The changes of each phase, one phase after the other."""
        for _, file in sorted(self._files.items()):
            file.seek(0)
            yield (OperationChange(*json.loads(line)) for line in file)

    def __iter__(self) -> Iterator[OperationChange]:
        for phase in self.phases():
            yield from phase

    def close(self) -> None:
        """Free the space."""
        with suppress(SpoolFull):  # what is buffered needs no space any more
            self._stack.close()
