"""What looks like an attack, and what does not."""

from __future__ import annotations

from rwm.audit import has_other_content, has_shrunk
from rwm.model import ObjectVersion, StateInfo

PACK = "data/ab/" + "ab" * 32
MD5 = {"x": "0" * 32, "y": "1" * 32}


def history(key: str, *contents: str | None) -> list[ObjectVersion]:
    """The entries of a key whose contents were written in that order; None is a delete marker. Newest first."""
    entries = [
        ObjectVersion(
            key,
            f"v{n}",
            n == len(contents),
            content is None,
            len(content or ""),
            MD5.get((content or "")[:1], content or ""),
            n * 1000,
        )
        for n, content in enumerate(contents, 1)
    ]
    return entries[::-1]


def test_a_name_that_is_the_hash_of_its_content_holds_nothing_else() -> None:
    for key in (PACK, "config", "keys/" + "cd" * 32, "index/" + "cd" * 32, "snapshots/" + "cd" * 32):
        assert has_other_content(history(key, "x", "y"), ["v2"])
        assert has_other_content(history(key, "x", "xx"), ["v2"])
        assert has_other_content(history(key, "x", None, "y"), ["v3"])


def test_the_same_content_again_is_no_attack() -> None:
    assert not has_other_content(history(PACK, "x", "x"), ["v1", "v2"])
    assert not has_other_content(history(PACK, "x", None, "x", None), ["v3"])


def test_only_what_is_used_counts() -> None:
    """Garbage that no state and no present listing references is what prune is for."""
    assert not has_other_content(history(PACK, "x", "y", "x"), ["v1", "v3"])
    assert has_other_content(history(PACK, "x", "y", "x"), ["v2"])


def test_etags_of_multipart_uploads_prove_nothing() -> None:
    assert not has_other_content(history(PACK, "a-2", "b-2"), ["v2"])


def test_other_names_may_change() -> None:
    for key in ("notes.txt", "data/ab/not-a-hash", "locks/" + "ab" * 32):
        assert not has_other_content(history(key, "x", "y"), ["v2"])


def state(objects: int) -> StateInfo:
    return StateInfo(f"{objects}", "bucket1", objects, "capture", objects, 0)


def test_a_state_with_less_than_half_of_the_one_before_has_shrunk() -> None:
    big, half, small = state(100), state(50), state(49)
    assert has_shrunk([big, half], half) is None
    assert has_shrunk([big, small], small) is big
    assert has_shrunk([small, big], big) is None
    assert has_shrunk([small], small) is None
