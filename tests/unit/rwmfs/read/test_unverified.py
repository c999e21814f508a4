"""Unverified reads: an inode counts as verified only if all its bytes are those of the verdict."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from rwmfs.read.unverified import UnverifiedReads


def reads_of(*inodes: int) -> UnverifiedReads:
    unverified = UnverifiedReads()
    for inode in inodes:
        unverified.add(inode)
    return unverified


def test_a_verdict_covers_all_inodes_if_nothing_was_evicted() -> None:
    unverified = reads_of(1, 2)
    assert unverified
    assert unverified.take_verified() == {1, 2}
    assert not unverified


def test_inodes_with_bytes_evicted_unhashed_are_never_verified() -> None:
    unverified = reads_of(1, 2)
    unverified.record_eviction(is_hashed=False)
    unverified.add(3)
    assert unverified.take_verified() == {3}
    assert unverified.take_verified() == set()
    assert unverified


def test_bytes_evicted_after_hashing_are_verified_unless_the_hash_restarts() -> None:
    for restart, verified in ((False, {1, 2}), (True, {2})):
        unverified = reads_of(1)
        unverified.record_eviction(is_hashed=True)
        if restart:
            unverified.restart()
        unverified.add(2)
        assert unverified.take_verified() == verified


def test_a_new_hash_covers_all_inodes_if_nothing_was_evicted() -> None:
    unverified = reads_of(1)
    unverified.restart()
    assert unverified.take_verified() == {1}


def test_evictions_before_a_verdict_do_not_count_after_it() -> None:
    unverified = reads_of(1)
    unverified.record_eviction(is_hashed=True)
    assert unverified.take_verified() == {1}
    unverified.add(2)
    unverified.restart()
    assert unverified.take_verified() == {2}


def test_clear_forgets_everything() -> None:
    unverified = reads_of(1)
    unverified.record_eviction(is_hashed=False)
    unverified.clear()
    assert not unverified
    unverified.add(1)
    unverified.restart()
    assert unverified.take_verified() == {1}


steps = st.sampled_from(["read", "read", "hash", "evict", "restart", "verdict"])


@settings(max_examples=1000)
@given(st.lists(st.tuples(steps, st.integers(0, 1)), min_size=5))
def test_no_inode_with_bytes_of_another_hash_is_verified(actions: list[tuple[str, int]]) -> None:
    """For an object of one piece: each fetch may bring other content, numbered here."""
    unverified = UnverifiedReads()
    piece, is_buffered, is_read, is_hashed = 0, False, False, False
    has: dict[int, set[int]] = {}
    for step, inode in actions:
        if step == "read":
            if not is_buffered:
                if is_hashed:
                    unverified.restart()
                piece, is_buffered, is_read, is_hashed = piece + 1, True, False, False
            unverified.add(inode)
            has.setdefault(inode, set()).add(piece)
            is_read = True
        elif step == "hash":
            is_hashed = is_hashed or is_buffered
        elif step == "evict" and is_buffered:
            if is_read:
                unverified.record_eviction(is_hashed=is_hashed)
            is_buffered = False
        elif step == "restart":
            unverified.restart()
            is_hashed = False
        elif step == "verdict" and is_hashed:
            for right in unverified.take_verified():
                assert has.pop(right) == {piece}
