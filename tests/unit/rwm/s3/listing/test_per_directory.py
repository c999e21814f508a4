"""Listings from a server that loses keys at page breaks, as SeaweedFS does: complete, or an error that says why."""

from __future__ import annotations

from bisect import insort

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rwm.errors import BadResponse
from rwm.model import ObjectVersion
from rwm.s3.listing.check import group_by_key
from rwm.s3.listing.garbled import garble, is_garbled
from rwm.s3.listing.pages import Page, separate_garbled
from rwm.s3.listing.per_directory import DirectoryLister

STORED = ".versions"


class Seaweed:
    """Pages as SeaweedFS 4.48 makes them, and how many were asked for.

    Names are walked in their order, a directory ``k`` before ``k-a.versions`` before ``k.versions``, from the name on
    that the marker begins with. What is smaller than the marker by byte is left out, and a full page is sorted by byte.
    """

    def __init__(self, keys: dict[str, int], *, old: frozenset[str] = frozenset()) -> None:
        self.entries = {
            key: [ObjectVersion(key, f"v{n}", n == 0, False, 1, "e", 9 - n) for n in range(count)]
            for key, count in keys.items()
        }
        for key in old & set(keys):  # written before versioning: a file of that name, beside the directory
            self.entries[key].append(ObjectVersion(key, "null", not self.entries[key], False, 1, "e", 0))
        self.asked = 0
        self.ambiguous: set[str] = set()
        self.hidden: set[str] = set()

    def fetch(self, prefix: str, delimiter: str, size: int, key: str, version: str) -> Page:
        self.asked += 1
        found: list[tuple[str, ObjectVersion | None]] = []
        for entry in self._walk(prefix, delimiter, key, version):
            found.append(entry)
            if len(found) > size:
                break
        # By byte, and per key newest first, wherever the walk met them.
        kept = sorted(found, key=lambda one: (one[0], self.entries[one[0]].index(one[1]) if one[1] else 0))[:size]
        versions = [entry._replace(key=garble(entry.key)) for _, entry in kept if entry]
        prefixes = [garble(text) for text, entry in kept if entry is None]
        if len(found) <= size:
            return separate_garbled(Page(versions, prefixes, None, None))
        last = versions[-1].version_id if kept[-1][1] else ""
        return separate_garbled(Page(versions, prefixes, garble(kept[-1][0]), last))

    def _walk(self, prefix: str, delimiter: str, key: str, version: str) -> list[tuple[str, ObjectVersion | None]]:
        names: list[tuple[list[str], str, list[ObjectVersion]]] = []
        for name, entries in self.entries.items():
            if name in self.hidden:
                continue
            alone = prefix.removesuffix("/") == name + STORED
            if not (name.startswith(prefix) or alone):
                continue
            *above, last = name.split("/")
            stored = [entry for entry in entries if entry.version_id != "null"]
            for leaf, some in ((last + STORED, stored), (last, [e for e in entries if e.version_id == "null"])):
                if some:
                    insort(names, ([*above, leaf], name, some))
        listed: list[tuple[str, ObjectVersion | None]] = []
        for parts, name, some in names:
            if self._before(parts, key.split("/")):
                continue
            below = name[len(prefix) :]
            if delimiter and "/" in below:
                common = prefix + below.partition("/")[0] + "/"
                if common > key and (common, None) not in listed:
                    listed.append((common, None))
                continue
            if name < key or (name == key and not version):
                continue
            ids = [entry.version_id for entry in self.entries[name]]
            after = ids.index(version) if name == key else -1
            listed += [(name, entry) for entry in some if ids.index(entry.version_id) > after]
        return listed

    @staticmethod
    def _before(parts: list[str], start: list[str]) -> bool:
        """Whether the walk that begins at the marker's names does not come by here."""
        for part, begin in zip(parts, start, strict=False):
            if part != begin:
                return part < begin
        return False

    def present(self, prefix: str, after: str) -> list[str]:
        names = set()
        for key in self.entries:
            if key.startswith(prefix):
                first, slash, _ = key[len(prefix) :].partition("/")
                names.add(prefix + first + slash)
        return sorted(name for name in names if name > after)

    def list_all(self, prefix: str = "", size: int = 1000) -> dict[str, list[ObjectVersion]]:
        walk = DirectoryLister(self.fetch, self.present, size, lambda entry: self.ambiguous.add(entry.key))
        found: dict[str, list[ObjectVersion]] = {}
        for history in group_by_key(entry for part in walk.list_all(prefix) for entry in part):
            assert history[0].key not in found, "a key came twice"
            found[history[0].key] = history
        return found


segments = st.sampled_from(["k", "k-a", "k-b", "k a", "k1", "k.v", "k-", "j", "l-1", "-", "0"])
paths = st.lists(segments, min_size=1, max_size=3).map("/".join)


@settings(max_examples=400)
@given(
    keys=st.dictionaries(paths, st.integers(1, 3), max_size=14),
    size=st.integers(1, 9),
    prefix=st.sampled_from(["", "k/", "k", "k-a/"]),
)
@example(keys={"k": 2, "k-a": 2, "k/x": 1}, size=2, prefix="")
@example(keys={"k": 1, **{f"k-{n}": 1 for n in range(9)}, "k/x": 1}, size=3, prefix="")
def test_whatever_the_names_and_the_page_size_nothing_is_lost(keys: dict[str, int], size: int, prefix: str) -> None:
    server = Seaweed(keys)
    assert server.list_all(prefix, size) == {key: e for key, e in server.entries.items() if key.startswith(prefix)}


@given(
    keys=st.dictionaries(paths, st.integers(0, 2), max_size=10),
    old=st.frozensets(paths, max_size=5),
    size=st.integers(3, 9),
)
def test_with_keys_from_before_versioning_nothing_is_lost_in_silence(
    keys: dict[str, int], old: frozenset[str], size: int
) -> None:
    server = Seaweed({key: count for key, count in keys.items() if count or key in old}, old=old)
    try:
        found = server.list_all("", size)
    except BadResponse:
        return
    assert found == server.entries


def test_a_listing_that_fits_one_page_is_one_request() -> None:
    server = Seaweed({"k": 2, "k-a": 1, "k/x": 1})
    assert len(server.list_all("", 4)) == 3
    assert server.asked == 1


def test_a_directory_of_files_alone_is_not_asked_for_twice() -> None:
    server = Seaweed({f"data/{n:04}": 1 for n in range(95)})
    assert len(server.list_all("data/", 10)) == 95
    assert server.asked == 10


@pytest.mark.parametrize("delimiter", ["", "/"])
def test_a_key_written_after_the_first_page_was_asked_for_is_no_error(delimiter: str) -> None:
    """Only pages that are younger than the plain listing can be compared with it."""
    server = Seaweed({f"f{n:02}": 1 for n in range(30)})
    first = server.fetch("", delimiter, 10, "", "")
    server.entries["f05-new"] = [ObjectVersion("f05-new", "v0", True, False, 1, "e", 9)]
    walk = DirectoryLister(server.fetch, server.present, 10)
    parts = walk.list_all("", first) if not delimiter else (level.versions for level in walk.level("", first))
    assert sorted(entry.key for part in parts for entry in part) == sorted(server.entries)


def test_directories_without_siblings_that_extend_their_names_are_listed_together() -> None:
    server = Seaweed({f"data/{n % 16:x}/{n:04}": 1 for n in range(95)})
    assert len(server.list_all("data/", 16)) == 95
    assert server.asked == 7 + 1  # a page or two, and the names of the directories


def test_each_directory_that_a_sibling_extends_is_listed_by_itself() -> None:
    server = Seaweed({f"data/{name}/{n:04}": 1 for name in ("a", "a-b", "c", "c-d") for n in range(15)})
    assert len(server.list_all("data/", 16)) == 60
    assert server.asked == 1 + 1 + 4


@pytest.mark.parametrize("name", ["{:04}-x", "{:04}/x"])
def test_where_no_page_has_a_harmless_end_the_rest_goes_directory_by_directory(name: str) -> None:
    server = Seaweed({f"data/{n % 4}/{name.format(n)}": 2 for n in range(60)})
    assert server.list_all("data/", 16) == server.entries


@pytest.mark.parametrize("others", [[], ["k"], ["k/x"], ["k", "k/x"], ["k", "k.a", "k a", "ka"]])
def test_more_siblings_than_a_page(others: list[str]) -> None:
    server = Seaweed({**{f"k-{n:04}": 1 for n in range(2100)}, **dict.fromkeys(others, 2)})
    assert server.list_all("") == server.entries


def test_a_key_that_cannot_be_listed_is_ambiguous() -> None:
    server = Seaweed({"k": 1001, **{f"k-{n:04}": 1 for n in range(1100)}})
    assert server.list_all("") == {key: entries for key, entries in server.entries.items() if key != "k"}
    assert server.ambiguous == {"k"}


def test_two_latest_versions_of_a_key_that_is_listed_alone_are_ambiguous() -> None:
    server = Seaweed({"k": 2, **{f"k-{n:04}": 1 for n in range(1100)}})
    assert server.list_all("") == server.entries
    assert not server.ambiguous
    server.entries["k"][1] = server.entries["k"][1]._replace(is_latest=True)
    assert server.list_all("") == server.entries
    assert server.ambiguous == {"k"}


def test_a_key_that_the_plain_listing_shows_and_this_one_lacks_is_an_error() -> None:
    server = Seaweed({f"k{n}": 1 for n in range(10)})
    server.hidden = {"k5"}
    with pytest.raises(BadResponse, match="lacks 'k5'"):
        server.list_all("", 4)


def test_a_directory_of_which_all_versions_were_deleted_is_empty() -> None:
    server = Seaweed({"a": 1})
    walk = DirectoryLister(server.fetch, lambda prefix, after: ["gone/"] if prefix == "gone/" else [])
    assert [entry for level in walk.level("gone/") for entry in (*level.versions, *level.prefixes)] == []


def test_two_latest_versions_of_a_key_on_a_single_page_are_ambiguous() -> None:
    server = Seaweed({"a": 2})
    server.entries["a"][1] = server.entries["a"][1]._replace(is_latest=True)
    assert server.list_all("") == server.entries
    assert server.ambiguous == {"a"}


# --- names that the server garbles ---------------------------------------------------------------------------

hostile_segments = st.sampled_from(
    ["\x01", "k\x01", "\x0e", "k\x1fx", "\ufffd", "k\ufffe", "\t", "k\t", "k", "k-a", "0", "\x01\x02"]
)
hostile_paths = st.lists(hostile_segments, min_size=1, max_size=3).map("/".join)


@settings(max_examples=300)
@given(
    keys=st.dictionaries(hostile_paths | paths, st.integers(1, 3), max_size=14),
    size=st.integers(1, 9),
    prefix=st.sampled_from(["", "k/", "k"]),
)
@example(keys={"\x0e": 3, "\x0ea": 3, "a": 1, "\t": 1}, size=2, prefix="")
@example(keys={"k\x01": 3, "k": 1, "k-a": 1, "k/x": 1}, size=1, prefix="")
def test_every_other_key_is_listed_beside_garbled_ones(keys: dict[str, int], size: int, prefix: str) -> None:
    server = Seaweed(keys)
    exact = {key for key in server.entries if key.startswith(prefix) and not is_garbled(garble(key))}
    assert server.list_all(prefix, size) == {key: server.entries[key] for key in exact}


def test_more_garbled_names_than_pages() -> None:
    keys = {f"data/00/\x0e{n:04}": 1 for n in range(2100)}
    server = Seaweed({**keys, "config": 1, "data/00/\t": 2, "data/00/a": 2, "data/01/a": 1})
    assert set(server.list_all()) == {"config", "data/00/\t", "data/00/a", "data/01/a"}
    assert server.asked < 40
