"""Several processes on one disk cache, also when they are killed."""

from __future__ import annotations

import multiprocessing
import random
import time
from multiprocessing.synchronize import Event
from pathlib import Path

from rwmfs.cache import BLOCK
from rwmfs.cache import directory as cache_directory
from tests.unit.blocks import MIB, disk_cache, file_of, holds, put, used, version

SPAWN = multiprocessing.get_context("spawn")
OBJECTS = [version(number, BLOCK * (1 + number % 5) - number) for number in range(24)]
LIMIT = 3 * MIB
PROCESSES = 4
LARGEST = 5 * BLOCK + 4096


def work(directory: Path, seed: int, turns: int) -> None:
    """Read and write at random, sometimes damage a file; a wrong byte ends the process with an error."""
    cache, dice, hits = disk_cache(directory, LIMIT), random.Random(seed), 0
    for _ in range(turns):
        object = dice.choice(OBJECTS)
        first = dice.randrange(-(-object.size // BLOCK)) * BLOCK
        if holds(cache, object, first):
            hits += 1
        else:
            put(cache, object, first)
        if dice.random() < 0.05:
            cache.drop(object)
        elif dice.random() < 0.05:
            damage(file_of(directory, object), dice)
    assert hits


def damage(path: Path, dice: random.Random) -> None:
    try:
        with path.open("r+b") as file:
            size = file.seek(0, 2)
            if dice.random() < 0.3:
                file.truncate(dice.randrange(size + 1))
            elif size:
                file.seek(dice.randrange(size))
                file.write(dice.randbytes(1))
    except FileNotFoundError:
        return


def fill(directory: Path, is_going: Event) -> None:
    """Write all objects again and again."""
    cache = disk_cache(directory)
    while True:
        for object in OBJECTS:
            put(cache, object)
            is_going.set()
            cache.drop(object)


def test_concurrent_processes_read_right_bytes_and_keep_the_limit(tmp_path: Path) -> None:
    processes = [SPAWN.Process(target=work, args=(tmp_path, seed, 400), daemon=True) for seed in range(PROCESSES)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * PROCESSES
    # Each may have written a step since the last scan, and another object during a scan.
    assert used(tmp_path) <= LIMIT + PROCESSES * (LIMIT // 16 + LARGEST)
    put(disk_cache(tmp_path, LIMIT), OBJECTS[0])
    assert used(tmp_path) <= LIMIT


def test_a_killed_writer_leaves_right_bytes_or_misses(tmp_path: Path) -> None:
    dice = random.Random(1)
    for _ in range(5):
        is_going = SPAWN.Event()
        process = SPAWN.Process(target=fill, args=(tmp_path, is_going), daemon=True)
        process.start()
        is_going.wait()
        process.join(dice.random() / 20)
        process.kill()
        process.join()
        cache = disk_cache(tmp_path)
        for object in OBJECTS:
            if not holds(cache, object):
                put(cache, object)
            assert holds(cache, object)


def test_a_process_killed_while_evicting_releases_the_lock(tmp_path: Path) -> None:
    is_going = SPAWN.Event()
    process = SPAWN.Process(target=hold, args=(tmp_path, is_going), daemon=True)
    process.start()
    is_going.wait()
    cache = disk_cache(tmp_path, MIB)
    for number in range(20):
        put(cache, version(number))
    assert all(holds(cache, version(number)) for number in range(20))
    assert used(tmp_path) > MIB
    process.kill()
    process.join()
    put(cache, version(20))
    assert used(tmp_path) <= MIB


def hold(directory: Path, is_going: Event) -> None:
    """Evict without end."""

    def scan(blocks: Path) -> list[cache_directory.CacheFile]:
        is_going.set()
        time.sleep(3600)
        return []

    cache_directory.scan = scan  # type: ignore[assignment]
    put(disk_cache(directory, MIB), version(0))
