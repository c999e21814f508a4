"""Signs that the newest kept state is not one to rely on, and what restic does that must not be taken for them."""

from __future__ import annotations

from rwm.model import Level, StateInfo, Verification
from rwm.prune.newest_state_rules import RepositoryFiles, failed_backup, failed_verification, shrunken_state
from tests.unit.rwm.trust.histories import history, state

NEWEST = state(49)


def test_failed_backup_ignores_a_partial_one() -> None:
    assert list(failed_backup(state(1, "partial"))) == []
    assert ["after a backup that failed" in found for found in failed_backup(state(1, "failed"))] == [True]


def test_a_verification_with_faults_is_named_by_its_level() -> None:
    results: dict[Level, Verification] = {
        "structure": Verification(0, 9, 9, 9, 0),
        "content": Verification(0, 7, 7, 9, 2),
    }
    (found,) = failed_verification(NEWEST, results)
    assert found.endswith("was verified (content) on 1970-01-01T00:00:00Z: 2 faults")


def test_shrunken_state_compares_with_the_largest_ended_state() -> None:
    (found,) = shrunken_state(NEWEST, [state(60), state(100), state(48)])
    assert "has 49 objects" in found
    assert f"{state(100).id[:12]}, which this would end, has 100" in found
    assert list(shrunken_state(state(50), [state(100)])) == []


def observe_config(root: str, *contents: str | None, newest: StateInfo = NEWEST, is_in_newest: bool = False) -> int:
    """How many repositories lack their config, after one with these contents was observed."""
    files = RepositoryFiles(newest, [newest])
    files.observe(root, history(f"{root}config", *contents), [], is_in_newest=is_in_newest)
    return len(list(files.missing_configs()))


def test_a_missing_config_needs_one_in_the_history() -> None:
    assert observe_config("", "x", None) == 1
    assert observe_config("", None) == 0
    assert observe_config("", "x", is_in_newest=True) == 0


def test_a_config_that_was_written_after_the_newest_state_is_missing_in_the_root_alone() -> None:
    """Another repository may have been created since."""
    early = state(10)  # captured before the first entry of the history
    assert observe_config("", "x", newest=early) == 1
    assert observe_config("host1/", "x", newest=early) == 0
    assert observe_config("host1/", "x", None, newest=state(5000)) == 1


def test_files_of_each_repository_below_the_root_are_compared() -> None:
    states = [state(6), state(4)]
    files = RepositoryFiles(states[1], states)
    for number in range(5):
        positions = range(2 if number < 2 else 1)
        files.observe("a/", history(f"a/data/{number}", "x"), [positions], is_in_newest=number < 2)
    files.observe("b/", history("b/data/1", "x"), [range(2)], is_in_newest=True)
    files.observe("", history("data/1", "x"), [range(1)], is_in_newest=False)
    (found,) = files.shrunken_repositories(states[:1])
    assert "has 2 files of the repository a/, and state " in found
    assert found.endswith("which this would end, has 5")
    assert list(files.shrunken_repositories([])) == []
