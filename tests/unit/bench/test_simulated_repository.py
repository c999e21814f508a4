"""The simulated repository: repeatable, consistent from day to day, and laid out as restic does."""

from __future__ import annotations

from bench.simulated_repository import SimulatedRepository

OBJECTS = 2000


def test_the_changes_of_a_day_lead_to_the_next_state() -> None:
    repository = SimulatedRepository(OBJECTS)
    now = {entry.key: entry for entry in repository.entries()}
    for day in range(1, 30):
        before = repository.info
        changes = repository.next_day()
        assert [change.key for change in changes] == sorted({change.key for change in changes})
        assert sum(change.entry is None for change in changes) == OBJECTS * 0.003
        assert sum(change.entry is not None for change in changes) == OBJECTS * 0.003
        for key, entry in changes:
            assert (key in now) is (entry is None)
            if entry is None:
                del now[key]
            else:
                now[key] = entry
                assert before.captured_at < entry.last_modified <= repository.info.captured_at, day
        assert repository.info.captured_at - before.captured_at == 86_400_000
        assert repository.info.objects == len(now) == OBJECTS
        assert repository.info.bytes == sum(entry.size for entry in now.values())
    assert list(repository.entries()) == [now[key] for key in sorted(now)]


def test_a_repository_depends_on_its_seed_only() -> None:
    first, second, other = (
        SimulatedRepository(OBJECTS),
        SimulatedRepository(OBJECTS),
        SimulatedRepository(OBJECTS, seed=2),
    )
    assert first.next_day() == second.next_day() != other.next_day()
    assert first.info == second.info != other.info
    assert list(first.entries()) == list(second.entries())


def test_the_layout_is_that_of_restic() -> None:
    entries = list(SimulatedRepository(OBJECTS).entries())
    assert {entry.key.partition("/")[0] for entry in entries} == {"config", "data", "index", "keys", "snapshots"}
    assert all(len(entry.version_id) == 31 and len(entry.etag) == 32 for entry in entries)
    assert len({entry.version_id for entry in entries}) == OBJECTS
    packs = [entry.key for entry in entries if entry.key.startswith("data/")]
    assert len(packs) > OBJECTS * 0.95
    assert all(key[5:7] == key[8:10] and len(key) == len("data/00/") + 64 for key in packs)
