"""The block cache: whole blocks, never more than its limit, the least recently used leave."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rwmfs.cache import BlockId, MemoryCache


def block(number: int, version: str = "v1") -> BlockId:
    return BlockId("bucket1", "key", version, number)


def test_the_least_recently_used_leaves() -> None:
    cache = MemoryCache(30)
    for number in range(3):
        cache.put(block(number), b"x" * 10)
    assert cache.get(block(0)) == b"x" * 10
    cache.put(block(3), b"y" * 10)
    assert cache.get(block(1)) is None
    assert cache.get(block(0)) is not None
    assert cache.get(block(3)) == b"y" * 10


def test_another_version_is_another_block() -> None:
    cache = MemoryCache(30)
    cache.put(block(0, "v1"), b"one")
    assert cache.get(block(0, "v2")) is None


def test_a_block_that_never_fits_pushes_nothing_out() -> None:
    cache = MemoryCache(10)
    cache.put(block(0), b"x")
    cache.put(block(1), b"x" * 11)
    assert cache.get(block(0)) == b"x"
    assert cache.get(block(1)) is None


@given(st.integers(0, 40), st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=80))
def test_it_never_holds_more_than_its_limit_nor_a_wrong_block(limit: int, steps: list[tuple[bool, int]]) -> None:
    cache = MemoryCache(limit)
    for put, number in steps:
        content = bytes([number]) * (number + 1)
        if put:
            cache.put(block(number), content)
            if len(content) <= limit:
                assert cache.get(block(number)) == content
        else:
            assert cache.get(block(number)) in (None, content)
        assert cache.size <= limit
        assert (cache.size == 0) == (len(cache) == 0)
