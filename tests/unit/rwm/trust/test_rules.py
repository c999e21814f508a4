"""What looks like an attack, and what does not."""

from __future__ import annotations

from rwm.model import ObjectVersion, Outcome, StateInfo
from rwm.trust.rules import Watch, has_other_content

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


def state(objects: int, outcome: Outcome | None = None) -> StateInfo:
    return StateInfo(f"{objects:064x}", "bucket1", objects, "backup", objects, 0, outcome)


class TestWatch:
    def test_an_ordinary_day_has_no_findings(self) -> None:
        watch = Watch(state(50, "ok"))
        watch.look(history("config", "x"), {"v1"}, newest=True)
        watch.look(history(PACK, "x", None), set(), newest=False)
        assert watch.findings([state(100)]) == []

    def test_what_is_kept_or_present_was_overwritten(self) -> None:
        watch = Watch(state(1))
        watch.look(history(PACK, "x", "y"), {"v1"}, newest=True)
        assert watch.findings([]) == [
            f"1 objects that restic writes once were overwritten with other content (the first: {PACK})"
        ]

    def test_the_newest_kept_state_has_no_config_though_there_was_one(self) -> None:
        watch = Watch(state(1))
        watch.look(history("config", "x", None), set(), newest=False)
        assert ["has no config" in finding for finding in watch.findings([])] == [True]

    def test_the_newest_kept_state_comes_from_a_failed_backup(self) -> None:
        assert Watch(state(1, "partial")).findings([]) == []
        assert ["after a backup that failed" in f for f in Watch(state(1, "failed")).findings([])] == [True]

    def test_a_much_larger_state_would_end(self) -> None:
        """However many small states were captured after it."""
        (finding,) = Watch(state(49)).findings([state(60), state(100), state(48)])
        assert "has 49 objects" in finding
        assert f"{state(100).id[:12]}, which this would end, has 100" in finding
