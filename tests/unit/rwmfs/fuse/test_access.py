"""Owner and modes of what a mount shows."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from rwmfs.fuse.access import Access

UMASK = st.integers(0, 0o777)
READ, WRITE, SEARCH = 4, 2, 1


def test_by_default_everything_is_ours_and_everybody_may_read() -> None:
    access = Access.own()
    assert (access.uid, access.gid) == (os.getuid(), os.getgid())
    assert (access.directory, access.file, access.locks, access.enforced) == (0o555, 0o444, 0o700, False)
    assert Access.own(0, 0) == Access(0, 0, 0)


def test_a_umask_that_takes_nothing_away_is_not_enforced() -> None:
    assert Access(1, 1, 0o222) == Access(1, 1, 0o222)
    assert not Access(1, 1, 0o222).enforced
    assert Access(1, 1, 0o222).locks == 0o700


def test_the_usual_ones() -> None:
    assert [(Access(1, 1, umask).directory, Access(1, 1, umask).locks) for umask in (0o077, 0o027, 0o007)] == [
        (0o500, 0o700),
        (0o550, 0o770),
        (0o550, 0o770),
    ]


@given(UMASK)
def test_a_umask_removes_bits_and_adds_none(umask: int) -> None:
    access = Access(1, 1, umask)
    assert access.directory == 0o555 & ~umask
    assert access.file == 0o444 & ~umask
    assert access.enforced == (access.directory != 0o555)


@given(UMASK)
def test_who_may_read_may_lock_and_nobody_else(umask: int) -> None:
    access = Access(1, 1, umask)
    for shift in (0, 3):
        may_read = (access.directory >> shift) & 7 == READ | SEARCH
        locks = (access.locks >> shift) & 7
        assert locks == (READ | WRITE | SEARCH if may_read and access.enforced else 0)
