"""The request size follows the throughput."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rwmfs.read.request_size import (
    DEFAULT_REQUEST_SIZE,
    HITS_IN_A_ROW,
    MAX_REQUEST_SIZE,
    MIN_REQUEST_SIZE,
    MIN_SAMPLE,
    RequestSizer,
)

MIB = 1 << 20


def sizer_after(*responses: tuple[int, float]) -> RequestSizer:
    sizer = RequestSizer()
    for size, seconds in responses:
        sizer.record_response(size, seconds)
    return sizer


BUSY = (12, 16)
"""Connections in use, and all connections."""


def test_the_default_size_without_samples() -> None:
    assert RequestSizer().request_size(0, 16) == DEFAULT_REQUEST_SIZE


def test_a_slow_link_gets_small_requests_while_connections_are_free() -> None:
    slow = sizer_after((4 * MIB, 0.43))
    sizes = [slow.request_size(running, 16) for running in (0, 11, 12, 16)]
    assert sizes == [MIN_REQUEST_SIZE] * 2 + [DEFAULT_REQUEST_SIZE] * 2
    assert slow.request_size(0, 1) == DEFAULT_REQUEST_SIZE


def test_a_fast_link_gets_large_requests() -> None:
    assert sizer_after((4 * MIB, 0.01)).request_size(0, 16) == MAX_REQUEST_SIZE
    assert sizer_after((4 * MIB, 0.07)).request_size(0, 16) == 8 * MIB


def test_small_responses_do_not_count() -> None:
    assert sizer_after((MIN_SAMPLE - 1, 0.000001)).request_size(*BUSY) == DEFAULT_REQUEST_SIZE


def test_the_size_adapts_after_a_few_responses() -> None:
    assert sizer_after((4 * MIB, 0.01), *[(4 * MIB, 0.4)] * 12).request_size(*BUSY) == DEFAULT_REQUEST_SIZE
    assert sizer_after((4 * MIB, 0.01), (4 * MIB, 0.4)).request_size(*BUSY) == MAX_REQUEST_SIZE


def test_disk_cache_hits_give_large_requests() -> None:
    sizer = sizer_after((4 * MIB, 0.43))
    for _ in range(HITS_IN_A_ROW):
        assert not sizer.reads_from_disk()
        assert sizer.request_size(0, 16) == MIN_REQUEST_SIZE
        sizer.record_hit(MIN_SAMPLE)
        sizer.record_hit(MIN_SAMPLE - 1)
    assert sizer.reads_from_disk()
    assert sizer.request_size(0, 16) == MAX_REQUEST_SIZE
    sizer.record_response(MIN_SAMPLE - 1, 0.1)
    assert sizer.reads_from_disk(), "small responses do not count"
    sizer.record_response(MIN_SAMPLE, 0.1)
    assert not sizer.reads_from_disk()
    assert sizer.request_size(0, 16) == MIN_REQUEST_SIZE


@given(st.lists(st.tuples(st.integers(0, 1 << 40), st.floats(0, 1e6))), st.integers(0, 20), st.integers(1, 20))
def test_the_size_is_bounded(responses: list[tuple[int, float]], running: int, connections: int) -> None:
    size = sizer_after(*responses).request_size(running, connections)
    assert MIN_REQUEST_SIZE <= size <= MAX_REQUEST_SIZE
    assert size % MIN_REQUEST_SIZE == 0
