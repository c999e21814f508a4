"""A whole listing from a server that loses keys at the breaks between its pages (:mod:`rwm.s3.listing.sibling_order`).

A listing that fits one page has no breaks. Where it does not, its directory is listed by itself, page by page with
care, and then each directory in it in the same way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from rwm.errors import BadResponse
from rwm.model import ObjectVersion
from rwm.s3.listing.check import ListingCheck
from rwm.s3.listing.pages import Page
from rwm.s3.listing.sibling_order import Cut, Level, Siblings, cut

LARGEST = 1000


class Fetch(Protocol):
    """Gets one page of a bucket's version listing."""

    def __call__(self, prefix: str, delimiter: str, size: int, key: str, version: str) -> Page:
        """The page after the entry ``version`` of ``key``, or the first one."""


class Present(Protocol):
    """Gets the beginning of a bucket's plain listing: what is current."""

    def __call__(self, prefix: str, after: str) -> list[str]:
        """Keys and common prefixes (delimiter ``/``) behind ``after``; not all of them, and in any order."""


class DirectoryLister:
    """Lists one bucket. Raises BadResponse where the server cannot say everything, never leaves anything out."""

    def __init__(self, fetch: Fetch, present: Present, size: int = LARGEST) -> None:
        self._fetch = fetch
        self._present = present
        self._size = size

    def everything(self, prefix: str, first: Page | None = None) -> Iterator[Sequence[ObjectVersion]]:
        """All entries below ``prefix``; ``first`` is the first page of a listing without delimiter, if it is there."""
        page = first or self._fetch(prefix, "", self._size, "", "")
        if page.next_key is None:
            ListingCheck(prefix).entries(page.versions)
            yield page.versions
            return
        directory = prefix.rfind("/") + 1
        # The walk met no directory as yet: with a delimiter the first page would be this one.
        flat = all("/" not in version.key[directory:] for version in page.versions)
        siblings = Siblings(prefix)
        for level in self.level(prefix, page if flat else None):
            yield level.versions
            for child in siblings.add(level):
                yield from self.everything(child)
        together, by_themselves = siblings.divided()
        for child in by_themselves:
            yield from self.everything(child)
        if together:
            yield from self._together(prefix, page, siblings, together)

    def _together(
        self, prefix: str, page: Page, siblings: Siblings, directories: list[str]
    ) -> Iterator[Sequence[ObjectVersion]]:
        """All entries in these directories, by a listing that goes on from one to the next; ``page`` is its first.

        Where a page has no place to go on from, what is left is listed directory by directory.
        """
        wanted = set(directories)
        check = ListingCheck(prefix)
        key = ""
        while True:
            whole = page.next_key is None
            part = page.versions if whole else page.versions[: siblings.harmless(page.versions)]
            check.entries(part)
            yield [entry for entry in part if siblings.directory(entry.key) in wanted]
            if whole:
                return
            if not part:
                break
            key = part[-1].key
            page = self._fetch(prefix, "", self._size, key, "")
        for child in directories:
            if child >= siblings.directory(key):
                for versions in self.everything(child):
                    yield [entry for entry in versions if entry.key > key]

    def level(self, prefix: str, first: Page | None = None) -> Iterator[Level]:
        """The directory (or the part of it whose names begin like that) by itself; ``first`` is its first page."""
        check = ListingCheck(prefix)
        key = version = ""
        ahead: set[str] = set()  # directories that were given out, or asked about, before their turn
        while True:
            present = self._present(prefix, key)
            if first is not None and _lacks(first, present):  # written since that page was asked for
                first = None
            page = first or self._fetch(prefix, "/", self._size, key, version)
            first = None
            if page.next_key is not None and cut(page, prefix) is None:
                page = self._fetch(prefix, "/", LARGEST, key, version)
            part = Cut(page.versions, page.prefixes, "", "") if page.next_key is None else _cut(prefix, page)
            check.entries(part.versions)
            alone = [entry for name in part.asked_alone if name > key for entry in self._alone(name)]
            _compare(present, part, key, {*ahead, *(entry.key for entry in alone)})
            directories = [name for name in part.asked_whether if name not in ahead and self._exists(name)]
            directories += [name for name in part.prefixes if name not in ahead]
            # A key's entries stay together: what is from elsewhere comes between two keys.
            yield Level([entry for entry in part.versions if entry.key == key], [])
            yield Level(alone, directories)
            yield Level([entry for entry in part.versions if entry.key != key], [])
            ahead = {name for name in {*ahead, *directories, *part.asked_whether} if name > part.key}
            if page.next_key is None:
                return
            if part.key < key or (part.key, part.version) == (key, version):
                raise BadResponse(f"the listing of {prefix!r} does not get beyond {key!r}")
            key, version = part.key, part.version

    def _exists(self, directory: str) -> bool:
        # ``k.versions/`` is answered with the entries of the key ``k``.
        return any(entry.key.startswith(directory) for entry in self._fetch(directory, "", 1, "", "").versions)

    def _alone(self, key: str) -> list[ObjectVersion]:
        """All entries of one key. Where more than a page begins like it, by the name under which SeaweedFS keeps it."""
        for prefix, delimiter in ((key, "/"), (f"{key}.versions/", "")):
            page = self._fetch(prefix, delimiter, LARGEST, "", "")
            if page.next_key is None:
                alone = [version for version in page.versions if version.key == key]
                ListingCheck().entries(alone)
                return alone
        raise BadResponse(f"the entries of {key!r} are more than a page, among names that this server loses keys of")


def _cut(prefix: str, page: Page) -> Cut:
    found = cut(page, prefix)
    if found is None:
        raise BadResponse(
            f"the listing of {prefix!r} cannot go on: this server would lose keys after {page.next_key!r}"
        )
    return found


def _lacks(page: Page, present: list[str]) -> bool:
    """Whether something that is present should be on the page, by its name, and is not."""
    listed = {version.key for version in page.versions} | {*page.prefixes}
    return any(name not in listed and (page.next_key is None or name <= page.next_key) for name in present)


def _compare(present: list[str], part: Cut, after: str, elsewhere: set[str]) -> None:
    """What was present before the page was asked for, and belongs on it, must be on it or listed ``elsewhere``."""
    listed = {version.key for version in part.versions} | {*part.prefixes} | elsewhere
    for name in present:
        if name > after and (not part.key or name <= part.key) and name not in listed:
            raise BadResponse(f"the listing lacks {name!r}, which the plain listing shows")
