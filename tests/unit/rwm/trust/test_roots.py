"""Which repository a key belongs to."""

from __future__ import annotations

import pytest

from rwm.trust import Kind, RepositoryRoots

NAME = "ab" * 32


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("config", ("", Kind.CONFIG)),
        (f"data/ab/{NAME}", ("", Kind.DATA)),
        (f"data/ab/junk{NAME}", ("", Kind.FOREIGN)),
        ("notes/config", None),
        ("host1/config", ("host1/", Kind.CONFIG)),
        (f"host1/index/{NAME}", ("host1/", Kind.INDEX)),
        (f"host1/data/x/keys/{NAME}", ("host1/data/x/", Kind.KEYS)),
        (f"host2/index/{NAME}", None),
        ("host1/notes", None),
    ],
)
def test_the_innermost_repository_counts(key: str, place: tuple[str, Kind] | None) -> None:
    roots = RepositoryRoots(["", "host1/", "host1/data/x/"])
    roots.find("host1/index/x")  # what is remembered of one directory does not count in another
    assert roots.find(key) == place
