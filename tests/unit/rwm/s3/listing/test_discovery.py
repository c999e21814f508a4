"""Discovery of repositories and state files: a bounded walk that no directory can hide others from."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwm.errors import AccessDenied, NotFound, UsageError
from rwm.layout import REPOSITORY_DIRECTORIES, is_own_key, is_repository_root
from rwm.location import Location
from rwm.names import parent_directories
from rwm.s3.listing import discovery
from rwm.s3.listing.discovery import Directory, check_location, discover, fair_share, read_directory
from rwm.s3.listing.sibling_order import Level
from tests.unit.memory import MemoryS3

BUCKET = Location("bucket1")
KEY_FILE = f"keys/{'0a' * 32}"
REPOSITORY = ["config", "keys/k", "data/00/p", "index/i", "snapshots/s"]


class ListedS3(MemoryS3):
    """Notes which directories are read."""

    def __init__(self, *keys: str) -> None:
        super().__init__("bucket1")
        self.read: list[str] = []
        self.denied_above = ""
        for key in keys:
            self.put("bucket1", key, b"1")
        self._reading = threading.Lock()

    def level(self, bucket: str, prefix: str = "", *, page_size: int = 1000) -> Iterator[Level]:
        with self._reading:
            self.read.append(prefix)
        if not prefix.startswith(self.denied_above):
            raise AccessDenied(f"ListObjectVersions {bucket}: AccessDenied")
        return super().level(bucket, prefix, page_size=page_size)


def repository(*prefixes: str) -> list[str]:
    return [prefix + name for prefix in prefixes for name in REPOSITORY]


def test_one_repository_in_a_bucket_takes_no_further_request() -> None:
    s3 = ListedS3(*repository(""), "locks/l", "rwm/states/s")
    top = read_directory(s3, "bucket1", "")
    found = discover(s3, BUCKET, top)
    assert (found.repositories, found.state_prefixes) == ({""}, set())
    assert s3.read == [""]


def test_repositories_at_several_depths_and_inside_another() -> None:
    roots = ["", "host1/", "sites/a/host1/", "sites/a/host1/old/", "deep/1/2/3/4/"]
    decoys = ["x/config", "x/data/00/p", "y/keys/k", "y/data/00/p", "z/config/data/a", "z/config/keys/a"]
    s3 = ListedS3(*repository(*roots), *decoys, "sites/a/host1/rwm/states/s", "gone/rwm/states/s", "host1/rwm/n")
    found = discover(s3, BUCKET)
    assert found.repositories == set(roots)
    assert found.state_prefixes == {"sites/a/host1/", "gone/"}
    assert not [path for path in s3.read if "/keys/" in f"/{path}" and not path.startswith(("y/", "z/"))]
    below = discover(s3, Location("bucket1", "sites/"))
    assert below.repositories == {"sites/a/host1/", "sites/a/host1/old/"}


def test_a_repository_before_its_first_backup() -> None:
    s3 = ListedS3("host1/config", f"host1/{KEY_FILE}", f"{KEY_FILE}", "ssh/config", "ssh/keys/k")
    assert discover(s3, BUCKET).repositories == {"host1/"}
    assert discover(ListedS3("config", KEY_FILE), BUCKET).repositories == {""}


def test_a_deleted_repository_is_still_one() -> None:
    s3 = ListedS3(*repository("host1/"))
    for key in repository("host1/"):
        s3.delete("bucket1", key)
    assert discover(s3, BUCKET).repositories == {"host1/"}


names = st.sampled_from(["a", "b", "config", "data", "keys", "rwm", "states", "host1", "host1.old", ".", ""])
prefixes = st.lists(names, max_size=4).map(lambda parts: "".join(f"{part}/" for part in parts))
leaves = st.sampled_from(
    [*REPOSITORY, KEY_FILE, f"config/{KEY_FILE}", "config", "data/x", "rwm/states/s", "rwm/n", "f", "config/f"]
)


@given(
    whole=st.lists(prefixes, max_size=4),
    single=st.lists(st.tuples(prefixes, leaves).map("".join), max_size=12),
    at=prefixes.filter(lambda path: not is_own_key(path)),
)
def test_what_is_found_is_what_a_model_finds(whole: list[str], single: list[str], at: str) -> None:
    s3 = ListedS3(*{*repository(*whole), *single})
    found = discover(s3, Location("bucket1", at))
    roots, places = model(s3, at)
    assert (found.repositories, found.state_prefixes) == (roots, places)
    assert len(s3.read) == len(set(s3.read))


def model(s3: MemoryS3, at: str) -> tuple[set[str], set[str]]:
    """Roots and prefixes of state files by a plain look at all keys."""
    keys = [key for key in s3.buckets["bucket1"] if key.startswith(at)]
    directories = {at} | {path for key in keys for path in parent_directories(key) if path.startswith(at)}

    def is_root(path: str) -> bool:
        inside = {key[len(path) :].partition("/") for key in keys if key.startswith(path)}
        files = {name for name, slash, _ in inside if not slash}
        has_key_file = f"{path}{KEY_FILE}" in keys
        return is_repository_root(files, {name for name, slash, _ in inside if slash}, has_key_file=has_key_file)

    def is_seen(path: str) -> bool:
        """Whether no directory on the way down is skipped."""
        above = at
        for name in path[len(at) :].split("/")[:-1]:
            if name in ("", ".") or (is_root(above) and name in REPOSITORY_DIRECTORIES):
                return False
            above += f"{name}/"
            if is_own_key(above):
                return False
        return True

    roots = {path for path in directories if is_seen(path) and is_root(path)}
    places = {
        path.removesuffix("rwm/states/")
        for path in directories
        if path.endswith("rwm/states/") and f"/{path}".endswith("/rwm/states/") and path != at
        and (is_seen(path.removesuffix("states/")) and not is_own_key(path.removesuffix("states/")))
    }  # fmt: skip
    return roots, places


class TestBound:
    def test_a_machine_with_many_directories_hides_no_other(self) -> None:
        s3 = ListedS3(*repository("sites/b/host2/", "z/"))
        many = [f"sites/a/{n}/" for n in range(30_000)]
        level = s3.level

        def hostile(bucket: str, prefix: str = "", *, page_size: int = 1000) -> Iterator[Level]:
            if prefix == "sites/":
                return iter([Level([], ["sites/a/", "sites/b/"])])
            if prefix == "sites/a/":
                return (Level([], many[at : at + 1000]) for at in range(0, len(many), 1000))
            return level(bucket, prefix, page_size=page_size)

        s3.level = hostile  # type: ignore[method-assign]
        found = discover(s3, BUCKET, limit=12)
        assert found.repositories == {"z/", "sites/b/host2/"}
        assert len(s3.read) <= 13

    def test_a_machine_with_many_directories_at_every_depth_hides_no_deeper_one(self) -> None:
        roots = {"z/", "sites/host2/", "sites/b/host2/", "sites/b/c/d/e/host2/"}
        s3 = ListedS3(*repository(*roots))
        level = s3.level

        def hostile(bucket: str, prefix: str = "", *, page_size: int = 1000) -> Iterator[Level]:
            if not prefix.startswith("sites/host1/"):
                found = level(bucket, prefix, page_size=page_size)
                return (
                    part._replace(prefixes=[*part.prefixes, "sites/host1/"]) if prefix == "sites/" else part
                    for part in found
                )
            return iter([Level([], [f"{prefix}{n}/" for n in range(1000)])])

        s3.level = hostile  # type: ignore[method-assign]
        assert discover(s3, BUCKET, limit=300).repositories == roots
        assert len(s3.read) <= 300

    @given(st.lists(st.text("ab/", max_size=8).map(lambda text: f"x/{text}/"), unique=True), st.integers(0, 8))
    def test_shares_are_equal_at_each_directory(self, paths: list[str], limit: int) -> None:
        kept = fair_share(paths, limit)
        assert len(kept) == min(limit, len(paths)) and len(set(kept)) == len(kept) and set(kept) <= set(paths)
        for above in {path for name in paths for path in parent_directories(name)}:
            groups: dict[str, list[str]] = {}
            for path in paths:
                if path.startswith(above) and path != above:
                    groups.setdefault(path[: path.find("/", len(above)) + 1], []).append(path)
            counts = {name: len(set(group) & set(kept)) for name, group in groups.items()}
            short = [counts[name] for name, group in groups.items() if counts[name] < len(group)]
            assert all(count <= min(short, default=count) + 1 for count in counts.values())

    def test_memory_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        walk = discovery.Walk(10)
        tracemalloc.start()
        for top in range(100):
            walk.add(Directory(f"{top}/", [f"{top}/{n}/" for n in range(100)], has_config=False, is_empty=False))
        most, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert walk.next_level() == ["0/0/", "1/0/", "10/0/", "11/0/", "12/0/"]
        assert walk.next_level() == []
        assert most < 100_000
        monkeypatch.setattr(discovery, "_MAX_NAMES", 3)
        s3 = ListedS3(*(f"d/{n}/x" for n in range(9)))
        pages = [Level([], [f"d/{n}/"]) for n in range(9)]
        s3.level = lambda *_, **__: iter(pages)  # type: ignore[method-assign]
        assert read_directory(s3, "bucket1", "d/").directories == ["d/0/", "d/1/", "d/2/"]


class TestCheckOfALocation:
    def check(self, s3: MemoryS3, prefix: str) -> None:
        location = Location("bucket1", prefix)
        check_location(s3, location, read_directory(s3, "bucket1", prefix))

    def test_any_bucket_and_any_directory_outside_of_repositories(self) -> None:
        s3 = ListedS3(*repository("host1/"), "docs/data/x", "host1/old/a")
        for prefix in ("", "host1/", "docs/", "docs/data/", "host1/old/"):
            self.check(s3, prefix)
        self.check(ListedS3(), "")

    @pytest.mark.parametrize("prefix", ["host1/data/", "host1/data/00/", "host1/data/01/", "host1/snapshots/"])
    def test_a_directory_of_a_repository(self, prefix: str) -> None:
        with pytest.raises(UsageError, match="is a directory of the repository at bucket1/host1, "):
            self.check(ListedS3(*repository("host1/"), "a/b"), prefix)
        with pytest.raises(UsageError, match="is a directory of the repository at bucket1, "):
            self.check(ListedS3(*repository("")), prefix.removeprefix("host1/"))

    @pytest.mark.parametrize("prefix", ["data/host1/", "data/host1/old/"])
    def test_a_repository_in_a_directory_of_another_is_one(self, prefix: str) -> None:
        self.check(ListedS3(*repository("", "data/host1/"), "data/host1/old/x"), prefix)
        with pytest.raises(UsageError, match="is a directory of the repository at bucket1/data/host1, "):
            self.check(ListedS3(*repository("", "data/host1/")), "data/host1/keys/")

    def test_an_account_that_may_not_list_above(self) -> None:
        s3 = ListedS3(*repository("host1/"))
        s3.denied_above = "host1/data/"
        self.check(s3, "host1/data/")
        s3 = ListedS3(*repository("data/host1/"))
        s3.denied_above = "data/host1/"
        with pytest.raises(UsageError, match="is a directory of the repository at bucket1/data/host1, "):
            self.check(s3, "data/host1/data/")

    @pytest.mark.parametrize("prefix", ["host2/", "host1/old/"])
    def test_a_prefix_below_which_nothing_is(self, prefix: str) -> None:
        with pytest.raises(NotFound, match=f"nothing is stored below bucket1/{prefix[:-1]}, and nothing was"):
            self.check(ListedS3(*repository("host1/")), prefix)
