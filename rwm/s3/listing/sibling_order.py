"""Safe markers for listings by a server that walks directories and loses keys at page breaks. Pure.

SeaweedFS stores the versions of the object ``k`` in a directory ``k.versions`` and collects a page in the order of
these stored names: the directory ``k/``, then names that begin with ``k-``, then ``k``. It sorts the page by byte.
After a marker it skips all keys that are smaller by byte, so it loses a key that comes later in its walk but is smaller
than the marker: ``k`` when the page ended at ``k-a``, ``k-a`` when it ended at ``k/``. Its walk also begins at the name
of the marker: ``k/`` is lost after ``k-a`` if it did not fit into the page.

So the server's own marker is not used. The walk has passed everything before the last name of the page. The page is cut
back to a key that is smaller than every name that may still come.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from rwm.model import ObjectVersion
from rwm.s3.listing.garbled import marker_beyond
from rwm.s3.listing.pages import Page

_VERSIONS_SUFFIX = ".versions"
_MAX_NAMES = 10_000
"""Names of siblings that are held to list their directories together; with more, each is listed by itself."""


class Level(NamedTuple):
    """A part of one directory: entries of the keys in it, and the directories in it."""

    versions: Sequence[ObjectVersion]
    prefixes: list[str]


@dataclass(frozen=True)
class Cut:
    """The safe part of a page, and the markers to continue from.

    Names that may exist and would not be listed any more must be requested one by one: ``lookup_keys`` and
    ``lookup_directories``.
    """

    versions: Sequence[ObjectVersion]
    prefixes: list[str]
    key: str
    version: str
    lookup_keys: tuple[str, ...] = ()
    lookup_directories: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Name:
    """A key or common prefix of a page. ``text`` sorts by byte; ``walked`` and ``stored`` sort in order of the walk."""

    text: str
    walked: str  # the name at which the walk met it
    stored: str  # the name at which the walk meets its other versions
    version: str  # id of the last version listed, "" for a common prefix


def cut(page: Page, prefix: str) -> Cut | None:
    """Cut one page (delimiter ``/``) of the listing of ``prefix`` back to its last safe marker.

    Without a safe marker, the result has names to look up; None if a larger page is needed.
    """
    directory = prefix.rfind("/") + 1
    names = _names(page, directory)
    last = max((name.walked for name in names), default="")
    unfinished = [name.text for name in names if name.version and name.stored >= last]
    fallback: Cut | None = None
    for name in sorted(names, key=lambda name: name.text, reverse=True):
        if any(key < name.text for key in unfinished):
            continue
        if name.version and name.stored >= last and (name.walked != name.stored or name.version == "null"):
            continue  # a version from before versioning: the key's other versions come later
        if not name.version and name.stored > last:
            continue  # names that begin with this directory's name may still come
        found = _cut_at(page, prefix, name, last)
        if not (found.lookup_keys or found.lookup_directories):
            return found
        fallback = fallback or found
    return fallback


def skip_garbled(page: Page, prefix: str, after: str) -> Cut | None:
    """Go on behind the garbled names with which a page begins; ``after`` is the marker that it follows.

    None if there is none, or if names that are known come before the next ones.
    """
    garbled = [*(version.key for version in page.garbled), *page.garbled_prefixes]
    marker = marker_beyond(garbled, after) if garbled else None
    names = [*(version.key for version in page.versions), *page.prefixes]
    if marker is None or any(name <= marker for name in names):
        return None
    last = max((name.walked for name in _names(page, prefix.rfind("/") + 1)), default="")
    return _cut_at(page, prefix, _Name(marker, "", "", ""), last)


def _names(page: Page, directory: int) -> list[_Name]:
    names = [_Name(text, text[directory:-1], text[directory:], "") for text in page.prefixes]
    for key, group in groupby(page.versions, key=lambda version: version.key):
        ids = [version.version_id for version in group]
        name = key[directory:]
        names.append(_Name(key, name if ids == ["null"] else name + _VERSIONS_SUFFIX, name + _VERSIONS_SUFFIX, ids[-1]))
    return names


def _cut_at(page: Page, prefix: str, name: _Name, last: str) -> Cut:
    """The page up to a name. ``last`` is the last name that the walk is known to have passed."""
    directory = prefix.rfind("/") + 1
    keys = {version.key for version in page.versions}
    # Each beginning of this name: the walk passes a directory of that name before this one, a key of that name after.
    beginnings = [name.text[:at] for at in range(directory + 1, len(name.text)) if name.text[at] < "/"]
    beginnings = [text for text in beginnings if text.startswith(prefix)]
    ahead = {f"{text}/" for text in beginnings}
    end = max([*keys, *page.prefixes], default="")
    return Cut(
        [version for version in page.versions if version.key <= name.text],
        [text for text in page.prefixes if text <= name.text or text in ahead],
        name.text,
        name.version,
        tuple(text for text in beginnings if text not in keys and text[directory:] + _VERSIONS_SUFFIX >= last),
        tuple(sorted(text for text in ahead if text > end)),
    )


class Siblings:
    """The names in one directory, and which of its directories a single listing can cover without losing keys.

    Such a listing continues after a key ``dir/name``. It can lose a key in two cases only: a sibling of ``dir`` is
    named ``dir`` and a character below ``/``, or ``name`` has such a character. restic's names never have one.
    """

    def __init__(self, prefix: str) -> None:
        self._above = prefix.rfind("/") + 1
        self._directories: list[str] = []
        self._extended: set[str] = set()
        self._full = False

    def add(self, level: Level) -> list[str]:
        """Add a part of the directory. Returns the directories to list now, each by itself: too many to remember."""
        names = [*(version.key for version in level.versions), *level.prefixes]
        for name in names:
            self._extended.update(name[:at] for at in _below_slash(name, self._above))
        self._directories += level.prefixes
        if self._full or len(self._directories) + len(self._extended) > _MAX_NAMES:
            self._full = True
            self._extended.clear()
            ready, self._directories = self._directories, []
            return ready
        return []

    def divide(self) -> tuple[list[str], list[str]]:
        """The remaining directories: (those to list together, sorted; those to list each by itself)."""
        alone = [name for name in self._directories if not self._is_plain(name)]
        together = sorted(set(self._directories).difference(alone))
        return (together, alone) if len(together) > 1 else ([], [*together, *alone])

    def directory(self, key: str) -> str:
        """The sibling directory that contains the key, "" for a key that is itself a sibling."""
        end = key.find("/", self._above)
        return key[: end + 1]

    def count_safe(self, versions: Sequence[ObjectVersion]) -> int:
        """The largest number of entries of a page after which the listing can continue; 0 if there is none."""
        for number in range(len(versions) - 1, 0, -1):
            entry = versions[number - 1]
            # The walk met the next entry later, and has passed all versions of this key unless that is below it.
            if not versions[number].key.startswith(entry.key) and self._is_safe(entry):
                return number
        return 0

    def _is_safe(self, entry: ObjectVersion) -> bool:
        directory = self.directory(entry.key)
        name = entry.key[len(directory) :]
        # The walk meets a version from before versioning apart from the others of its key.
        return (
            entry.version_id != "null" and "/" not in name and self._is_plain(directory) and not _below_slash(name, 0)
        )

    def _is_plain(self, directory: str) -> bool:
        name = directory[:-1]
        return len(name) > self._above and not _below_slash(name, self._above) and name not in self._extended


def _below_slash(text: str, start: int) -> list[int]:
    """The positions of characters that sort before ``/``."""
    return [at for at in range(start, len(text)) if text[at] < "/"]
