"""The soak test: detection of growth."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bench.soak import ProcessSize, find_growth, process_size
from bench.table import MIB

FLAT = [ProcessSize(200 * MIB, 30, 20)] * 120


@pytest.mark.parametrize(
    ("end", "found"),
    [
        (ProcessSize(200 * MIB, 30, 20), []),
        (ProcessSize(239 * MIB, 52, 41), []),
        (ProcessSize(241 * MIB, 30, 20), ["memory has grown from 200.0 MiB to 241.0 MiB"]),
        (
            ProcessSize(10 * MIB, 54, 43),
            ["descriptors have grown from 30 to 54", "threads have grown from 20 to 43"],
        ),
    ],
)
def test_growth_is_reported(end: ProcessSize, found: list[str]) -> None:
    assert find_growth([*FLAT, *[end] * 60], base=120, window=60) == found


def test_process_size_counts_memory_descriptors_and_threads() -> None:
    before = process_size(os.getpid())
    with Path(os.devnull).open(), ThreadPoolExecutor(1) as pool:
        during = pool.submit(process_size, os.getpid()).result()
    assert during.resident > MIB
    assert during.descriptors > before.descriptors
    assert during.threads > before.threads
