"""Where to go on in a listing by a server that walks directories, so that nothing is lost. Pure.

SeaweedFS keeps the versions of the object ``k`` in a directory ``k.versions`` and collects a page in the order of these
names: the directory ``k/``, then what begins with ``k-``, then ``k``. It sorts the page by byte, and goes on after a
marker by leaving out all keys that are smaller by byte. A key that comes later in its walk but is smaller than the
marker is lost: ``k`` when the page ended at ``k-a``, ``k-a`` when it ended at ``k/``. And its walk begins at the name
of the marker: ``k/`` is lost after ``k-a``, when the page was too full for it.

So the server's own marker is not taken. All that it walked over before the last name of the page is known to be seen,
and the page is cut back to a key from which no name that may come later is smaller, whatever it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from rwm.model import ObjectVersion
from rwm.s3.listing.pages import Page

_STORED = ".versions"
_TOGETHER = 10_000
"""Directories whose names are held to list them together; a directory with more of them is listed one by one."""


class Level(NamedTuple):
    """A part of one directory: entries of the keys in it, and the directories in it."""

    versions: Sequence[ObjectVersion]
    prefixes: list[str]


@dataclass(frozen=True)
class Cut:
    """A page as far as it can be trusted, and the markers to go on from.

    What may exist and would not be listed any more has to be looked up by itself: the keys ``asked_alone``, the
    directories ``asked_whether``.
    """

    versions: Sequence[ObjectVersion]
    prefixes: list[str]
    key: str
    version: str
    asked_alone: tuple[str, ...] = ()
    asked_whether: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Name:
    """A key or common prefix of a page: ``text`` as it sorts by byte, ``walked`` as the server's walk meets it."""

    text: str
    walked: str
    stored: str  # as the walk meets what may still come of it
    version: str  # the last one listed, "" for a common prefix


def cut(page: Page, prefix: str) -> Cut | None:
    """Cut one page (delimiter ``/``) of the listing of ``prefix`` back to where it is safe to go on.

    Where that is nowhere, one with keys to ask for alone; None when a larger page is needed.
    """
    directory = prefix.rfind("/") + 1
    names = _names(page, directory)
    last = max((name.walked for name in names), default="")
    unfinished = [name.text for name in names if name.version and name.stored >= last]
    second: Cut | None = None
    for name in sorted(names, key=lambda name: name.text, reverse=True):
        if any(key < name.text for key in unfinished):
            continue
        if name.version and name.stored >= last and (name.walked != name.stored or name.version == "null"):
            continue  # from before versioning; its later versions are still to come, and are no place to go on from
        if not name.version and name.stored > last:
            continue  # names that extend this directory's may be still to come
        found = _upto(page, prefix, name, last)
        if not (found.asked_alone or found.asked_whether):
            return found
        second = second or found
    return second


def _names(page: Page, directory: int) -> list[_Name]:
    names = [_Name(text, text[directory:-1], text[directory:], "") for text in page.prefixes]
    for key, group in groupby(page.versions, key=lambda version: version.key):
        ids = [version.version_id for version in group]
        name = key[directory:]
        names.append(_Name(key, name if ids == ["null"] else name + _STORED, name + _STORED, ids[-1]))
    return names


def _upto(page: Page, prefix: str, name: _Name, last: str) -> Cut:
    """The page up to that name. ``last`` is how far the walk is known to have come."""
    directory = prefix.rfind("/") + 1
    keys = {version.key for version in page.versions}
    # What this name begins with: as a directory it was walked over before this name, as a key it comes after it.
    beginnings = [name.text[:at] for at in range(directory + 1, len(name.text)) if name.text[at] < "/"]
    beginnings = [text for text in beginnings if text.startswith(prefix)]
    ahead = {f"{text}/" for text in beginnings}
    end = max([*keys, *page.prefixes])
    return Cut(
        [version for version in page.versions if version.key <= name.text],
        [text for text in page.prefixes if text <= name.text or text in ahead],
        name.text,
        name.version,
        tuple(text for text in beginnings if text not in keys and text[directory:] + _STORED >= last),
        tuple(sorted(text for text in ahead if text > end)),
    )


class Siblings:
    """The names in one directory, and which directories of them one listing can go through without a loss.

    Such a listing goes on after a key ``dir/name``. What the walk meets later and is smaller by byte begins with
    ``dir`` or ``name`` and a character below ``/``: it is not there when no sibling of ``dir`` is of that kind and
    ``name`` has no such character. restic's names never have one.
    """

    def __init__(self, prefix: str) -> None:
        self._above = prefix.rfind("/") + 1
        self._directories: list[str] = []
        self._extended: set[str] = set()
        self._full = False

    def add(self, level: Level) -> list[str]:
        """Take note of a part of the directory. The directories that are to be listed at once, each by itself."""
        names = [*(version.key for version in level.versions), *level.prefixes]
        for name in names:
            self._extended.update(name[:at] for at in _below_slash(name, self._above))
        self._directories += level.prefixes
        if self._full or len(self._directories) + len(self._extended) > _TOGETHER:
            self._full = True
            self._extended.clear()
            ready, self._directories = self._directories, []
            return ready
        return []

    def divided(self) -> tuple[list[str], list[str]]:
        """The other directories: those to list together, sorted, and those to list each by itself."""
        alone = [name for name in self._directories if not self._is_plain(name)]
        together = sorted(set(self._directories).difference(alone))
        return (together, alone) if len(together) > 1 else ([], [*together, *alone])

    def directory(self, key: str) -> str:
        """The directory among the siblings that the key lies in, "" for a key that lies in none."""
        end = key.find("/", self._above)
        return key[: end + 1]

    def harmless(self, versions: Sequence[ObjectVersion]) -> int:
        """How many entries of a page to take, so that the listing can go on after the last of them; 0 for none."""
        for number in range(len(versions) - 1, 0, -1):
            entry = versions[number - 1]
            # What follows was walked over later, so all of this key's versions were before it; not what is below it.
            if not versions[number].key.startswith(entry.key) and self._is_harmless(entry):
                return number
        return 0

    def _is_harmless(self, entry: ObjectVersion) -> bool:
        directory = self.directory(entry.key)
        name = entry.key[len(directory) :]
        # A version from before versioning is walked over apart from the others of its key.
        return (
            entry.version_id != "null" and "/" not in name and self._is_plain(directory) and not _below_slash(name, 0)
        )

    def _is_plain(self, directory: str) -> bool:
        name = directory[:-1]
        return len(name) > self._above and not _below_slash(name, self._above) and name not in self._extended


def _below_slash(text: str, start: int) -> list[int]:
    """Where it has a character that sorts before ``/``."""
    return [at for at in range(start, len(text)) if text[at] < "/"]
