"""The number of files that restic processed, compared with the run before.

restic reports success for an empty directory, which is what remains of a file system that is not mounted.
"""

from __future__ import annotations

from collections.abc import Callable

from rwm.errors import RwmError
from rwm.index import Index
from rwm.location import Location

MANY_FILES = 100
"""After a run with at least as many files, a run without any is reported."""


def describe_loss(files: int | None, before: int | None) -> str:
    """What to report when no file was processed where there were many; empty otherwise. Pure."""
    if files == 0 and before is not None and before >= MANY_FILES:
        return f"restic processed 0 files, after {before} in the last run that had any: is a file system not mounted?"
    return ""


class FileCountHistory:
    """The numbers of earlier runs, in the index. An unusable index has none; the capture reports its error."""

    def __init__(self, open_index: Callable[[], Index], location: Location) -> None:
        self._open_index = open_index
        self._location = location

    def compare(self, name: str, files: int | None) -> str:
        """Record an entry's number for the next run. Returns what to report, empty for nothing.

        0 is not recorded, so the loss is reported in each run until there are files again.
        """
        if files is None:
            return ""
        try:
            counts = self._open_index().file_counts
            if files:
                counts.record(self._location, name, files)
                return ""
            return describe_loss(files, counts.last(self._location, name))
        except (RwmError, OSError):
            return ""
