"""Complete listings from a server that loses keys at page breaks (:mod:`rwm.s3.listing.sibling_order`).

A listing of one page has no breaks. Otherwise its directory is listed by itself, with safe markers, and then each
directory in it in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from rwm.errors import BadResponse
from rwm.model import ObjectVersion
from rwm.s3.listing.check import ListingCheck
from rwm.s3.listing.garbled import garble, is_garbled
from rwm.s3.listing.pages import Page
from rwm.s3.listing.sibling_order import Cut, Level, Siblings, cut, skip_garbled

MAX_PAGE_SIZE = 1000


class FetchPage(Protocol):
    """Gets one page of a bucket's version listing."""

    def __call__(self, prefix: str, delimiter: str, size: int, key: str, version: str) -> Page:
        """The page after the entry ``version`` of ``key``, or the first one."""


class ListCurrent(Protocol):
    """Gets the beginning of a bucket's plain listing, which has the current keys."""

    def __call__(self, prefix: str, after: str) -> list[str]:
        """Keys and common prefixes (delimiter ``/``) after ``after``; not all of them, in any order."""


class DirectoryLister:
    """Lists one bucket completely. Raises BadResponse if the server makes that impossible.

    ``ambiguous`` is called with an entry of each key whose versions are not listed in their order.
    """

    def __init__(
        self,
        fetch: FetchPage,
        list_current: ListCurrent,
        size: int = MAX_PAGE_SIZE,
        ambiguous: Callable[[ObjectVersion], None] = lambda entry: None,
    ) -> None:
        self._fetch = fetch
        self._list_current = list_current
        self._size = size
        self._ambiguous = ambiguous

    def list_all(self, prefix: str, first: Page | None = None) -> Iterator[Sequence[ObjectVersion]]:
        """All entries below ``prefix``; ``first`` is the first page of its flat listing, if it was read already."""
        page = first or self._fetch(prefix, "", self._size, "", "")
        if page.next_key is None:
            ListingCheck(prefix, self._ambiguous).check(page.versions)
            yield page.versions
            return
        directory = prefix.rfind("/") + 1
        # The walk has met no directory yet: the first page with a delimiter would be the same.
        flat = all("/" not in version.key[directory:] for version in (*page.versions, *page.garbled))
        siblings = Siblings(prefix)
        for level in self.level(prefix, page if flat else None):
            yield level.versions
            for child in siblings.add(level):
                yield from self.list_all(child)
        together, by_themselves = siblings.divide()
        for child in by_themselves:
            yield from self.list_all(child)
        if together:
            yield from self._list_together(prefix, page, siblings, together)

    def _list_together(
        self, prefix: str, page: Page, siblings: Siblings, directories: list[str]
    ) -> Iterator[Sequence[ObjectVersion]]:
        """All entries in these directories, by one flat listing across them; ``page`` is its first page.

        After a page without a safe marker, the rest is listed directory by directory.
        """
        wanted = set(directories)
        check = ListingCheck(prefix, self._ambiguous)
        key = ""
        while True:
            whole = page.next_key is None
            part = page.versions if whole else page.versions[: siblings.count_safe(page.versions)]
            check.check(part)
            yield [entry for entry in part if siblings.directory(entry.key) in wanted]
            if whole:
                return
            if not part:
                break
            key = part[-1].key
            page = self._fetch(prefix, "", self._size, key, "")
        for child in directories:
            if child >= siblings.directory(key):
                for versions in self.list_all(child):
                    yield [entry for entry in versions if entry.key > key]

    def level(self, prefix: str, first: Page | None = None) -> Iterator[Level]:
        """One directory, or the part of it whose names begin with ``prefix``; ``first`` is its first page."""
        check = ListingCheck(prefix, self._ambiguous)
        key = version = ""
        ahead: set[str] = set()  # directories that were yielded or looked up before the listing reached them
        while True:
            # SeaweedFS shows an emptied directory as a key in itself. As the first name, no page break loses it.
            # The plain listing has exact names, the version listing may garble them.
            names = self._list_current(prefix, key)
            current = [name for name in names if name != prefix and not is_garbled(garble(name))]
            if first is not None and _lacks(first, current):  # written after that page was read
                first = None
            page = first or self._fetch(prefix, "/", self._size, key, version)
            first = None
            if page.next_key is not None and cut(page, prefix) is None:
                page = self._fetch(prefix, "/", MAX_PAGE_SIZE, key, version)
            part = (
                Cut(page.versions, page.prefixes, "", "") if page.next_key is None else _require_cut(page, prefix, key)
            )
            check.check(part.versions)
            looked_up = {name: self._list_key(name) for name in part.lookup_keys if name > key}
            found = [entry for entries in looked_up.values() for entry in entries or ()]
            elsewhere = {*ahead, *(name for name, entries in looked_up.items() if entries != [])}
            _check_complete(current, part, key, elsewhere)
            directories = [name for name in part.lookup_directories if name not in ahead and self._exists(name)]
            directories += [name for name in part.prefixes if name not in ahead]
            # The entries of a key stay together: names that were looked up come between two keys.
            yield Level([entry for entry in part.versions if entry.key == key], [])
            yield Level(found, directories)
            yield Level([entry for entry in part.versions if entry.key != key], [])
            ahead = {name for name in {*ahead, *directories, *part.lookup_directories} if name > part.key}
            if page.next_key is None:
                return
            if part.key < key or (part.key, part.version) == (key, version):
                raise BadResponse(f"the listing of {prefix!r} does not advance beyond {key!r}")
            key, version = part.key, part.version

    def _exists(self, directory: str) -> bool:
        # ``k.versions/`` is answered with the entries of the key ``k``.
        page = self._fetch(directory, "", 1, "", "")
        return any(entry.key.startswith(directory) for entry in (*page.versions, *page.garbled))

    def _list_key(self, key: str) -> list[ObjectVersion] | None:
        """All entries of one key; if more than a page begins with it, from the directory where SeaweedFS stores it.

        None if that is more than a page too: the key is ambiguous then.
        """
        found: list[ObjectVersion] = []
        for prefix, delimiter in ((key, "/"), (f"{key}.versions/", "")):
            page = self._fetch(prefix, delimiter, MAX_PAGE_SIZE, "", "")
            found = [version for version in page.versions if version.key == key]
            if page.next_key is None:
                ListingCheck(ambiguous=self._ambiguous).check(found)
                return found
        for entry in found[:1]:
            self._ambiguous(entry)
        return None


def _require_cut(page: Page, prefix: str, after: str) -> Cut:
    found = cut(page, prefix) or skip_garbled(page, prefix, after)
    if found is None:
        raise BadResponse(
            f"the listing of {prefix!r} cannot continue: this server would lose keys after {page.next_key!r}"
        )
    return found


def _lacks(page: Page, current: list[str]) -> bool:
    """Whether a current name belongs on the page and is missing."""
    listed = {version.key for version in page.versions} | {*page.prefixes}
    return any(name not in listed and (page.next_key is None or name <= page.next_key) for name in current)


def _check_complete(current: list[str], part: Cut, after: str, elsewhere: set[str]) -> None:
    """Check that the names which were current before the page was requested are on it, or listed ``elsewhere``."""
    listed = {version.key for version in part.versions} | {*part.prefixes} | elsewhere
    for name in current:
        if name > after and (not part.key or name <= part.key) and name not in listed:
            raise BadResponse(f"the listing lacks {name!r}, which the plain listing shows")
