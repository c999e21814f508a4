"""The repositories in a state, against a model that looks at all keys at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rwm.layout import is_repository_root
from rwm.model import Entry, EntryBatch
from rwm.names import hidden_keys
from rwm.repositories import RepositoryCount, count_repositories

KEY_FILE = "0a" * 32


def count(sizes: dict[str, int], limit: int = 3) -> list[RepositoryCount]:
    """The repositories of a state with these keys, read in batches of ``limit``."""
    entries = [Entry(key, "v", sizes[key], "e", 0) for key in sorted(sizes)]
    return count_repositories(EntryBatch.of(entries[n : n + limit]) for n in range(0, len(entries), limit))


def repository(prefix: str, *more: str) -> dict[str, int]:
    """Keys of a repository, one byte each."""
    names = ("config", "keys/a", "data/00/b", "data/01/c", "index/d", "snapshots/e", *more)
    return {prefix + name: 1 for name in names}


def test_each_repository_has_its_own_objects() -> None:
    keys = repository("host1/") | repository("sites/a/host2/", "data/01/f") | {"notes": 5, "sites/plan": 7}
    assert count(keys) == [RepositoryCount("host1/", 6, 6), RepositoryCount("sites/a/host2/", 7, 7)]


def test_the_objects_of_a_nested_repository_are_not_those_of_the_outer_one() -> None:
    assert count(repository("") | repository("host1/") | {"other/x": 2}) == [
        RepositoryCount("", 7, 8),
        RepositoryCount("host1/", 6, 6),
    ]


def test_an_incomplete_repository_counts_for_the_outer_one() -> None:
    assert count(repository("") | {"host1/config": 1, "host1/data/00/a": 1}) == [RepositoryCount("", 8, 8)]


def test_hidden_keys_make_no_repository() -> None:
    for name in ("config", "keys/a"):
        keys = repository("")
        del keys[name]
        assert count(keys | {f"{name.split('/', maxsplit=1)[0]}/../x": 1, "keys//": 1}) == []
    assert count(repository("") | {"config/x": 1}) == [], "a directory hides the file"
    assert count(repository("a//")) == []


def test_a_repository_before_its_first_backup() -> None:
    assert count({"a/config": 1, f"a/keys/{KEY_FILE}": 2, "b/config": 1, "b/keys/k": 1}) == [
        RepositoryCount("a/", 2, 3)
    ]
    assert count({"config": 1, f"keys/a/{KEY_FILE}": 1, f"x/keys/{KEY_FILE}": 1}) == []


def test_no_keys() -> None:
    assert count({}) == []


NAMES = st.sampled_from(["config", "keys", "data", "a", "", "..", KEY_FILE])
KEYS = st.lists(NAMES, min_size=1, max_size=4).map("/".join).filter(bool)
ROOTS = st.lists(st.sampled_from(["a", "data", "b", "b.c"]), max_size=3).map(lambda n: "".join(f"{x}/" for x in n))


@given(
    st.dictionaries(KEYS, st.integers(0, 9), max_size=12),
    st.lists(ROOTS.map(repository), max_size=3),
    st.integers(1, 5),
)
def test_like_the_model(others: dict[str, int], repositories: list[dict[str, int]], limit: int) -> None:
    sizes = dict(others)
    for each in repositories:
        sizes |= each
    assert count(sizes, limit) == model(sizes)


def model(sizes: dict[str, int]) -> list[RepositoryCount]:
    """Each directory that a mount shows is judged by its names; a key counts for the longest root above it."""
    shown = sizes.keys() - hidden_keys(sizes).keys()
    directories = {""} | {key[: n + 1] for key in shown for n, character in enumerate(key) if character == "/"}

    def is_root(prefix: str) -> bool:
        below = [key.removeprefix(prefix).split("/") for key in shown if key.startswith(prefix)]
        files = {names[0] for names in below if len(names) == 1}
        directories = {names[0] for names in below if len(names) > 1}
        return is_repository_root(files, directories, has_key_file=["keys", KEY_FILE] in below)

    roots = sorted(filter(is_root, directories))
    owner = {key: max((root for root in roots if key.startswith(root)), key=len, default=None) for key in sizes}
    counted = {root: [key for key in sizes if owner[key] == root] for root in roots}
    return [RepositoryCount(root, len(keys), sum(sizes[key] for key in keys)) for root, keys in counted.items()]
