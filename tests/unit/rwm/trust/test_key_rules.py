"""The rules about one key: what breaks each of them, and the honest history next to it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import pytest

from rwm.model import ObjectVersion
from rwm.trust.evidence import LockHistory
from rwm.trust.finding import IN_NO_STATE, Finding
from rwm.trust.intervals import FOREVER
from rwm.trust.key_history import KeyHistory
from rwm.trust.key_rules import CONFIG_SIZE, KEY_RULES, MAX_PACK_SIZE, RETRY, is_unremarkable, rules_for
from rwm.trust.names import kind_of

MINUTE = 60_000
HOUR = 60 * MINUTE
NAME = "ab" * 32
PACK, INDEX, KEY, LOCK = f"data/ab/{NAME}", f"index/{NAME}", f"keys/{NAME}", f"locks/{NAME}"
A, B = "0" * 32, "1" * 32
START = 1_700_000_000_000
REMOVED = -1

Step = tuple[int, int, str]
"""Time after START, size or REMOVED, ETag."""


def entries(key: str, *steps: Step, null: Sequence[int] = ()) -> list[ObjectVersion]:
    """Oldest first; those at the positions of ``null`` have the version id ``null``."""
    return [
        ObjectVersion(key, "null" if n in null else f"v{n}", False, size == REMOVED, max(size, 0), etag, START + time)
        for n, (time, size, etag) in enumerate(steps)
    ]


def locked(*times: tuple[int, int]) -> LockHistory:
    """Locks from and to times after START; one long before tells that locks are in use."""
    locks = LockHistory()
    for start, end in ((-100 * HOUR, -100 * HOUR + MINUTE), *times):
        locks.add(entries(LOCK, (start, 150, A), (end, REMOVED, "")))
    return locks


UNLOCKED = locked()
WITHOUT_LOCKS = LockHistory()


def judge(key: str, *steps: Step, locks: LockHistory = UNLOCKED, null: Sequence[int] = ()) -> list[Finding]:
    history = KeyHistory("", kind_of(key), entries(key, *steps, null=null))
    found = [finding for rule in KEY_RULES for finding in rule(history, locks)]
    assert found == [finding for rule in rules_for(history) for finding in rule(history, locks)]
    return found


def codes(key: str, *steps: Step, locks: LockHistory = UNLOCKED, null: Sequence[int] = ()) -> set[str]:
    return {finding.rule.code for finding in judge(key, *steps, locks=locks, null=null)}


WRITTEN = (0, 1000, A)
GONE = (HOUR, REMOVED, "")


@pytest.mark.parametrize("key", [PACK, INDEX, KEY, f"snapshots/{NAME}"])
def test_a_removal_needs_a_lock(key: str) -> None:
    assert codes(key, WRITTEN, GONE) == {"unlocked-removal"}
    assert codes(key, WRITTEN, GONE, locks=locked((HOUR - MINUTE, HOUR + MINUTE))) == set()
    assert codes(key, WRITTEN, GONE, locks=WITHOUT_LOCKS) == set()


def test_the_second_in_which_a_lock_ends_is_within_it() -> None:
    assert codes(PACK, WRITTEN, (HOUR + 999, REMOVED, ""), locks=locked((HOUR - MINUTE, HOUR))) == set()


def test_a_removal_soon_after_a_lock_was_written_is_a_hint() -> None:
    assert codes(PACK, WRITTEN, GONE, locks=locked((HOUR - 4 * MINUTE, HOUR - 2 * MINUTE))) == {"late-removal"}
    assert codes(PACK, WRITTEN, GONE, locks=locked((HOUR - 6 * MINUTE, HOUR - 2 * MINUTE))) == {"unlocked-removal"}


def test_a_removal_after_a_backup_that_ended_is_a_proof() -> None:
    """But not of a snapshot: `tag` and `rewrite` write one, and remove the one that it replaces."""
    locks = locked((HOUR - 4 * MINUTE, HOUR - 2 * MINUTE))
    locks.snapshots.add(START + HOUR - 3 * MINUTE)
    assert codes(PACK, WRITTEN, GONE, locks=locks) == {"unlocked-removal"}
    assert codes(f"snapshots/{NAME}", WRITTEN, GONE, locks=locks) == {"late-removal"}


def test_a_removal_under_a_lock_that_nobody_renewed_is_a_hint() -> None:
    assert codes(PACK, WRITTEN, GONE, locks=locked((HOUR - 29 * MINUTE, 2 * HOUR))) == set()
    assert codes(PACK, WRITTEN, GONE, locks=locked((HOUR - 40 * MINUTE, 2 * HOUR))) == {"stale-lock-removal"}


def test_what_was_before_the_oldest_lock_is_not_judged() -> None:
    assert codes(PACK, (-200 * HOUR, 1000, A), (-150 * HOUR, REMOVED, "")) == set()


def test_a_marker_without_a_version_says_nothing() -> None:
    assert codes(PACK, GONE) == codes(PACK, GONE, (2 * HOUR, REMOVED, "")) == set()


def test_a_removal_ends_when_the_key_is_written_again() -> None:
    (finding,) = [one for one in judge(PACK, WRITTEN, GONE, (HOUR + MINUTE, 1000, A)) if one.rule.level == "proof"]
    assert (finding.start, finding.end) == (START + HOUR, START + HOUR + MINUTE)
    again = (HOUR + MINUTE, REMOVED, "")
    (finding,) = judge(PACK, WRITTEN, GONE, again)
    assert finding.end == FOREVER, "a second marker brings nothing back"


def test_locks_and_other_files_may_be_removed() -> None:
    assert codes(LOCK, (0, 150, A), GONE) == codes("notes.txt", WRITTEN, GONE) == set()


def test_config_is_never_removed() -> None:
    within = locked((HOUR - MINUTE, HOUR + MINUTE))
    assert codes("config", (0, CONFIG_SIZE, A), GONE, locks=within) == {"removed-config"}


class TestWrittenAgain:
    @pytest.mark.parametrize("later", [(MINUTE, 999, A), (HOUR, 1000, B)])
    def test_other_content(self, later: Step) -> None:
        assert codes(PACK, WRITTEN, later) == {"other-content"}
        (finding,) = judge(PACK, WRITTEN, later)
        assert finding.version_id == "v1"

    def test_a_retry_has_the_same_content_within_minutes(self) -> None:
        (finding,) = judge(PACK, WRITTEN, (10 * MINUTE, 1000, A))
        assert (finding.rule.code, finding.start, finding.end) == ("repeated-upload", *IN_NO_STATE)

    def test_the_same_content_later_is_a_hint(self) -> None:
        assert codes(PACK, WRITTEN, (HOUR, 1000, A)) == {"written-twice"}

    def test_etags_that_are_no_md5_sums_prove_nothing(self) -> None:
        assert codes(PACK, WRITTEN, (HOUR, 1000, f"{B}-1")) == {"written-twice"}

    def test_another_etag_within_minutes_may_be_a_retry_with_kms(self) -> None:
        assert codes(PACK, WRITTEN, (MINUTE, 1000, B)) == {"written-twice"}

    def test_other_content_ends_when_it_is_replaced(self) -> None:
        finding = next(one for one in judge(PACK, WRITTEN, (HOUR, 5, B), (2 * HOUR, 1000, A)))
        assert (finding.start, finding.end) == (START + HOUR, START + 2 * HOUR)

    def test_each_version_is_compared_with_the_first_one(self) -> None:
        found = judge(PACK, WRITTEN, (HOUR, 5, B), (2 * HOUR, 1000, A), (3 * HOUR, 5, B))
        assert [(one.rule.code, one.version_id) for one in found] == [
            ("other-content", "v1"),
            ("written-twice", "v2"),
            ("other-content", "v3"),
        ]
        assert [one.end - START for one in found[:2]] == [2 * HOUR, 3 * HOUR]

    def test_the_last_moment_of_a_retry(self) -> None:
        assert codes(PACK, WRITTEN, (RETRY, 1000, A)) == {"repeated-upload"}
        assert codes(PACK, WRITTEN, (RETRY + 1, 1000, A)) == {"written-twice"}
        assert codes(PACK, WRITTEN, (RETRY, 1000, B)) == {"written-twice"}
        assert codes(PACK, WRITTEN, (RETRY + 1, 1000, B)) == {"other-content"}


class TestConfig:
    WITHIN = locked((HOUR - MINUTE, HOUR + MINUTE), (3 * HOUR - MINUTE, 3 * HOUR + MINUTE))
    FIRST = (0, CONFIG_SIZE, A)
    MIGRATED = (HOUR, CONFIG_SIZE, B)

    def test_one_migration_within_a_lock(self) -> None:
        assert codes("config", self.FIRST, self.MIGRATED, locks=self.WITHIN) == {"migrated-config"}
        assert codes("config", self.FIRST, self.MIGRATED) == {"rewritten-config"}

    def test_no_second_migration(self) -> None:
        again = (3 * HOUR, CONFIG_SIZE, "2" * 32)
        assert codes("config", self.FIRST, self.MIGRATED, again, locks=self.WITHIN) == {
            "migrated-config",
            "rewritten-config",
        }

    def test_after_a_migration_what_it_wrote_is_the_genuine_one(self) -> None:
        old, new = (2 * HOUR, CONFIG_SIZE, A), (2 * HOUR, CONFIG_SIZE, B)
        assert codes("config", self.FIRST, self.MIGRATED, new, locks=self.WITHIN) == {
            "migrated-config",
            "written-twice",
        }
        assert codes("config", self.FIRST, self.MIGRATED, old, locks=self.WITHIN) == {
            "migrated-config",
            "rewritten-config",
        }

    def test_what_is_no_migration_is_never_genuine_and_ends_when_it_is_replaced(self) -> None:
        forged, late = (2 * HOUR, CONFIG_SIZE, B), (3 * HOUR, CONFIG_SIZE, "2" * 32)
        found, migrated = judge("config", self.FIRST, forged, late, locks=self.WITHIN)
        assert (found.rule.code, found.version_id) == ("rewritten-config", "v1")
        assert (found.start, found.end) == (START + 2 * HOUR, START + 3 * HOUR)
        assert (migrated.rule.code, migrated.version_id) == ("migrated-config", "v2")

    def test_a_lock_that_was_taken_away_may_be_of_a_migration(self) -> None:
        taken = locked((HOUR - 4 * MINUTE, HOUR - 2 * MINUTE))
        assert codes("config", self.FIRST, self.MIGRATED, locks=taken) == {"migrated-config"}

    def test_no_other_size(self) -> None:
        assert codes("config", self.FIRST, (HOUR, 160, A), locks=self.WITHIN) == {"rewritten-config"}
        assert codes("config", self.FIRST, (HOUR, 160, B), locks=self.WITHIN) == {"rewritten-config"}

    def test_before_the_oldest_lock_it_is_a_hint(self) -> None:
        """Who uses rustic, and then restic to restore, has no lock before that."""
        for size in (CONFIG_SIZE, 160):
            changed = (-150 * HOUR, size, B)
            assert codes("config", (-200 * HOUR, CONFIG_SIZE, A), changed, locks=self.WITHIN) == {"changed-config"}

    def test_without_locks_it_is_a_hint(self) -> None:
        assert codes("config", self.FIRST, self.MIGRATED, locks=WITHOUT_LOCKS) == {"changed-config"}

    def test_the_same_content(self) -> None:
        assert codes("config", self.FIRST, (MINUTE, CONFIG_SIZE, A)) == {"repeated-upload"}
        assert codes("config", self.FIRST, (HOUR, CONFIG_SIZE, A)) == {"written-twice"}


@pytest.mark.parametrize("key", ["data/00/x", f"data/00/{NAME}", "keys/README", "index/a/b", f"locks/{NAME.upper()}"])
def test_foreign_names(key: str) -> None:
    assert codes(key, WRITTEN) == {"foreign-name"}
    assert [(one.start, one.end) for one in judge(key, WRITTEN, GONE)] == [(START, START + HOUR)]


@pytest.mark.parametrize("key", ["data/", "data/ab/", "notes.txt", "photos/data/x"])
def test_other_names_are_nobodys_business(key: str) -> None:
    assert codes(key, WRITTEN) == set()


def test_an_empty_file_under_the_name_of_another_content() -> None:
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert codes(PACK, (0, 0, A)) == {"impossible-content"}
    assert "impossible-content" not in codes(f"data/e3/{empty}", (0, 0, A))


def test_null_versions_after_versions_with_ids() -> None:
    assert codes(PACK, WRITTEN, (HOUR, 1000, A), null=[1]) >= {"null-version"}
    assert "null-version" not in codes(PACK, WRITTEN, (HOUR, 1000, A), null=[0]), "from before versioning"
    assert "null-version" not in codes(PACK, WRITTEN, null=[0])


def test_a_null_version_that_is_listed_last_is_judged_at_its_time() -> None:
    """As SeaweedFS lists it. The version from before it stays the genuine one."""
    steps = [(2 * HOUR, 5, B), WRITTEN, (HOUR, 1000, A)]
    found = judge(PACK, *steps, null=[0])
    assert [(one.rule.code, one.version_id, one.start - START) for one in found] == [
        ("written-twice", "v2", HOUR),
        ("other-content", "null", 2 * HOUR),
        ("null-version", "null", 2 * HOUR),
    ]


@pytest.mark.parametrize(
    ("key", "size", "is_odd"),
    [
        ("config", CONFIG_SIZE, False),
        ("config", 154, True),
        (KEY, 441, False),
        (KEY, 31, True),
        (PACK, MAX_PACK_SIZE, False),
        (PACK, MAX_PACK_SIZE + 1, True),
        (INDEX, MAX_PACK_SIZE + 1, False),
        (LOCK, 1, False),
    ],
)
def test_sizes_that_restic_gives(key: str, size: int, is_odd: bool) -> None:
    assert codes(key, (0, size, A)) == ({"uncommon-size"} if is_odd else set())


@pytest.mark.parametrize("key", [PACK, INDEX, KEY, f"snapshots/{NAME}"])
def test_an_unremarkable_file_breaks_no_rule(key: str) -> None:
    for size in (32, 1000, MAX_PACK_SIZE):
        (version,) = entries(key, (0, size, A))
        assert is_unremarkable(version)
        assert codes(key, (0, size, A)) == set()


@pytest.mark.parametrize("key", [PACK, INDEX, KEY, LOCK, "config", f"snapshots/{NAME}", "data/junk", "index/junk"])
def test_the_rules_of_a_kind_are_those_that_it_can_break(key: str) -> None:
    """``judge`` compares their findings with those of all rules."""
    contents = [(0, ""), (20, A), (155, A), (155, B), (REMOVED, "")]
    for count in (1, 2, 3):
        for chosen in product(contents, repeat=count):
            steps = [(number * HOUR, *content) for number, content in enumerate(chosen)]
            for null in ((), (0,), (count - 1,)):
                judge(key, *steps, null=null)
