"""The file that holds the deletions of a plan."""

from __future__ import annotations

import errno
import stat
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwm.errors import SpoolFull
from rwm.prune.deletion_spool import BLOCK, DeletionSpool, separate_keys
from rwm.prune.key_plan import Deletion
from rwm.prune.stages import Stage

deletions = st.lists(
    st.builds(
        Deletion,
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
        st.text("abc", min_size=1),
        st.integers(0, 1 << 40),
        st.sampled_from(["replaced", "deleted", "hides-nothing"]),
        st.integers(0, 1 << 47),
        st.integers(0, 1 << 47),
    ),
    max_size=20,
)


def number(count: int) -> list[Deletion]:
    return [Deletion(f"data/{n:05}", f"v{n}", n) for n in range(count)]


@given(parts=st.lists(st.tuples(st.sampled_from(Stage), deletions), max_size=8))
def test_deletions_are_read_as_they_were_written(parts: list[tuple[Stage, list[Deletion]]]) -> None:
    spool = DeletionSpool()
    for stage, items in parts:
        spool.add(stage, items)
    spool.finish()
    for stage in Stage:
        written = [item for other, items in parts if other is stage for item in items]
        assert list(spool.read(stage)) == written
        assert spool.count(stage) == len(written)
        assert sorted(spool.read_interleaved(stage, 3)) == list(enumerate(written))
        by_time = sorted(enumerate(written), key=lambda item: (item[1].noncurrent_at, item[0]))
        assert list(spool.read_by_time(stage)) == by_time
    assert spool.size == sum(item.size for _, items in parts for item in items)
    assert len(spool.versions) + len(spool.markers) == sum(len(items) for _, items in parts)


@pytest.mark.parametrize("count", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 7 * BLOCK + 3])
@pytest.mark.parametrize("cursors", [1, 3, 250])
def test_interleaving_yields_every_deletion_once(count: int, cursors: int) -> None:
    spool = DeletionSpool()
    spool.add(Stage.VERSIONS, number(count))
    found = list(spool.finish().read_interleaved(Stage.VERSIONS, cursors))
    assert sorted(found) == list(enumerate(number(count)))


def test_a_batch_spreads_over_all_keys_of_a_large_plan() -> None:
    spool = DeletionSpool()
    for prefix in "0123456789abcdef":
        spool.add(Stage.VERSIONS, [Deletion(f"data/{prefix}/{n}", "v", 1) for n in range(BLOCK * 4)])
    batch = [item for _, item in spool.finish().read_interleaved(Stage.VERSIONS, 64)][:64]
    assert set(Counter(item.key.split("/")[1] for item in batch).values()) == {4}


def test_versions_of_one_key_are_far_apart() -> None:
    spool = DeletionSpool()
    for key in range(64):
        spool.add(Stage.VERSIONS, [Deletion(f"k{key}", f"v{n}", 1) for n in range(BLOCK)])
    ordered = [item.key for _, item in spool.finish().read_interleaved(Stage.VERSIONS, 64)]
    assert all(len(set(ordered[start : start + 64])) == 64 for start in range(0, len(ordered), 64))


@given(keys=st.lists(st.sampled_from("aaab"), max_size=30))
def test_separate_keys_orders_by_the_number_of_earlier_deletions_of_the_key(keys: list[str]) -> None:
    items = list(enumerate(Deletion(key, str(n), 1) for n, key in enumerate(keys)))
    ordered = separate_keys(items)
    assert sorted(ordered) == items
    rank = {at: sum(other.key == item.key for _, other in items[:at]) for at, item in items}
    assert [rank[at] for at, _ in ordered] == sorted(rank.values())


def test_the_file_is_private_and_has_no_name() -> None:
    spool = DeletionSpool()
    found = spool.file.path.stat()
    assert stat.S_IMODE(found.st_mode) == 0o600
    assert found.st_nlink == 0


def test_a_full_disk_is_an_error_of_rwm(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    spool = DeletionSpool()
    monkeypatch.setattr("os.pwrite", full)
    with pytest.raises(SpoolFull, match="No space left on device"):
        spool.add(Stage.VERSIONS, number(BLOCK))
