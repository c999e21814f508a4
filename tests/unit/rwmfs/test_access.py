"""Owner and modes of what a mount shows."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from rwmfs.access import Access

UMASK = st.integers(0, 0o777)
READ, WRITE, SEARCH = 4, 2, 1


def test_by_default_this_user_owns_everything_and_everybody_may_read() -> None:
    access = Access.own()
    assert (access.uid, access.gid) == (os.getuid(), os.getgid())
    assert (access.directory, access.file, access.locks, access.enforced) == (0o555, 0o444, 0o700, False)
    assert Access.own(0, 0) == Access(0, 0, 0)


def test_a_umask_without_read_bits_is_not_enforced() -> None:
    assert Access(1, 1, 0o222) == Access(1, 1, 0o222)
    assert not Access(1, 1, 0o222).enforced
    assert Access(1, 1, 0o222).locks == 0o700


def test_modes_of_usual_umasks() -> None:
    assert [(Access(1, 1, umask).directory, Access(1, 1, umask).locks) for umask in (0o077, 0o027, 0o007)] == [
        (0o500, 0o700),
        (0o550, 0o770),
        (0o550, 0o770),
    ]


@given(UMASK)
def test_a_umask_clears_bits(umask: int) -> None:
    access = Access(1, 1, umask)
    assert access.directory == 0o555 & ~umask
    assert access.file == 0o444 & ~umask
    assert access.enforced == (access.directory != 0o555)


@given(UMASK)
def test_exactly_the_readers_may_lock(umask: int) -> None:
    access = Access(1, 1, umask)
    for shift in (0, 3):
        may_read = (access.directory >> shift) & 7 == READ | SEARCH
        locks = (access.locks >> shift) & 7
        assert locks == (READ | WRITE | SEARCH if may_read and access.enforced else 0)
