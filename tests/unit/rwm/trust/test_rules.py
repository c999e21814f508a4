"""Each rule: the sign it recognises, and what restic does that must not be taken for it."""

from __future__ import annotations

from dataclasses import replace

from rwm.trust.interface import KeyEvidence, Rule
from rwm.trust.repositories import Repositories
from rwm.trust.rules import (
    FailedBackup,
    MissingConfig,
    OverwrittenContent,
    ShrunkenRepository,
    ShrunkenState,
    has_other_content,
)
from tests.unit.rwm.trust.histories import PACK, history, state


class TestHasOtherContent:
    def test_content_addressed_names_and_config_are_written_once(self) -> None:
        for key in (PACK, "config", "keys/" + "cd" * 32, "index/" + "cd" * 32, "snapshots/" + "cd" * 32):
            assert has_other_content(history(key, "x", "y"), ["v2"])
            assert has_other_content(history(key, "x", "xx"), ["v2"])
            assert has_other_content(history(key, "x", None, "y"), ["v3"])

    def test_the_same_content_written_again_is_ignored(self) -> None:
        assert not has_other_content(history(PACK, "x", "x"), ["v1", "v2"])
        assert not has_other_content(history(PACK, "x", None, "x", None), ["v3"])

    def test_unused_versions_are_ignored(self) -> None:
        """Prune deletes them."""
        assert not has_other_content(history(PACK, "x", "y", "x"), ["v1", "v3"])
        assert has_other_content(history(PACK, "x", "y", "x"), ["v2"])

    def test_etags_of_multipart_uploads_are_ignored(self) -> None:
        assert not has_other_content(history(PACK, "a-2", "b-2"), ["v2"])

    def test_other_names_may_be_overwritten(self) -> None:
        for key in ("notes.txt", "data/ab/not-a-hash", "locks/" + "ab" * 32):
            assert not has_other_content(history(key, "x", "y"), ["v2"])


def test_overwritten_content_counts_objects_and_names_the_first() -> None:
    rule = OverwrittenContent(Repositories(""))
    rule.observe(KeyEvidence(history(PACK, "x", "y"), {"v1"}, in_newest=True))
    assert list(rule.findings([])) == [
        f"1 objects that restic writes once were overwritten with other content (the first: {PACK})"
    ]
    rule.observe(KeyEvidence(history("config", "x", "y"), set(), in_newest=True))
    (finding,) = rule.findings([])
    assert finding.startswith("2 objects") and finding.endswith(f"(the first: {PACK})")


def test_missing_config_needs_one_in_the_history() -> None:
    for contents, is_missing in ((("x", None), True), ((None,), False)):
        rule = MissingConfig(state(1), Repositories(""))
        rule.observe(KeyEvidence(history("config", *contents), set(), in_newest=False))
        assert ["has no config" in finding for finding in rule.findings([])] == [True] * is_missing


def test_failed_backup_ignores_a_partial_one() -> None:
    assert list(FailedBackup(state(1, "partial")).findings([])) == []
    assert ["after a backup that failed" in f for f in FailedBackup(state(1, "failed")).findings([])] == [True]


def test_shrunken_state_compares_with_the_largest_ended_state() -> None:
    (finding,) = ShrunkenState(state(49)).findings([state(60), state(100), state(48)])
    assert "has 49 objects" in finding
    assert f"{state(100).id[:12]}, which this would end, has 100" in finding
    assert list(ShrunkenState(state(50)).findings([state(100)])) == []


class TestRepositoriesBelowPrefixes:
    """A rule sees all keys of a location, and a ``config`` counts where there is a repository."""

    def observe(self, rule: Rule, found: Repositories, key: str, *contents: str | None) -> None:
        found.observe(key)
        rule.observe(KeyEvidence(history(key, *contents), set(), in_newest=False))

    def test_a_config_of_a_repository_is_written_once(self) -> None:
        found = Repositories("")
        rule = OverwrittenContent(found)
        self.observe(rule, found, "host1/config", "x", "y")
        self.observe(rule, found, "host2/app/config", "x", "y")
        assert list(rule.findings([])) == []
        self.observe(rule, found, f"host1/{PACK}", "x")
        (finding,) = rule.findings([])
        assert finding.startswith("1 objects") and finding.endswith("(the first: host1/config)")

    def test_a_repository_without_its_config_is_named(self) -> None:
        found = Repositories("")
        rule = MissingConfig(state(5000), found)
        for key in ("host1/config", "host2/app/config", f"host1/sub/{PACK}", "host1/keys/" + "ab" * 32):
            self.observe(rule, found, key, "x", None)
        (finding,) = rule.findings([])
        assert "has no host1/config" in finding

    def test_a_repository_that_is_newer_than_the_state_is_ignored(self) -> None:
        found = Repositories("")
        rule = MissingConfig(state(1000), found)
        self.observe(rule, found, f"host1/{PACK}", "x")
        self.observe(rule, found, "host1/config", "x")
        assert list(rule.findings([])) == []

    def test_the_root_of_the_location_always_counts(self) -> None:
        found = Repositories("host1/")
        rule = MissingConfig(replace(state(1), prefix="host1/"), found)
        self.observe(rule, found, "host1/config", "x", None)
        (finding,) = rule.findings([])
        assert "has no config" in finding


def test_shrunken_repository_counts_the_files_of_each_repository_in_each_state() -> None:
    states = [state(10), state(9), state(8)]
    rule = ShrunkenRepository(states[-1], states)
    for n, ranges in enumerate(([range(3)], [range(2)], [range(1), range(1, 2)])):
        for root in ("", "host1/"):  # the root of the location is left to ShrunkenState
            rule.observe(KeyEvidence(history(f"{root}index/{n:064x}", "x"), set(), in_newest=True, states=ranges))
        rule.observe(KeyEvidence(history(f"host2/index/{n:064x}", "x"), set(), in_newest=True, states=[range(3)]))
    assert list(rule.findings([])) == []
    (finding,) = rule.findings(states[:2])
    assert "has 1 files of the repository host1/" in finding
    assert finding.endswith("which this would end, has 3")
