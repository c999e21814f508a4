"""Many processes on one index, and processes that are killed."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from rwm.errors import StateNotFound
from rwm.index import Index
from rwm.location import Location
from rwm.model import StateInfo
from rwm.statefile.canonical import canonical_form
from rwm.states.capture import capture_state
from rwm.states.importing import ImportSource, StateImporter
from rwm.states.sync import compare_with_history, list_state_files, new_state_files, sync_states
from tests.unit.memory import MemoryS3
from tests.unit.states import BUCKET, files_of, listed, put, state

SPAWN = multiprocessing.get_context("spawn")
FORK = multiprocessing.get_context("fork")
# A copy of this process has all that is in memory, and does nothing but the work.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
ROUNDS = 25
WRITERS = 3


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "index.sqlite"


def is_whole(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


# --- all at once ------------------------------------------------------------------------------------------------


def contents_of(writer: int, number: int) -> dict[str, str]:
    """What a state holds: some that all have, some that changes with each, some of this writer."""
    return {
        "config": "v1",
        f"data/{number % 4:02x}/{'ab' * 8}": f"v{number % 3}",
        f"index/{writer}-{number % 5}": f"v{writer}",
        "locks": "v1",
        "locks/x": f"v{number}",
    }


def place_of(writer: int, number: int) -> tuple[int, str]:
    """Second and bucket: several writers have states of the same seconds, in no order of time."""
    return random.Random(writer * 1000 + number).randrange(40), f"bucket{(writer + number) % 2}"


def write(path: Path, writer: int) -> None:
    """Record states, forget every fifth."""
    with Index.open(path) as index:
        for number in range(ROUNDS):
            second, bucket = place_of(writer, number)
            info = put(index, second, contents_of(writer, number), bucket)
            if number % 5 == 4:
                index.forget([info])


def read(path: Path, stop: Any) -> None:
    """Everything that is listed is what it was when it was recorded, or forgotten by now."""
    known = {}
    for writer in range(WRITERS):
        for number in range(ROUNDS):
            second, bucket = place_of(writer, number)
            contents = contents_of(writer, number)
            known[state(second, listed(contents), bucket)] = contents
    with Index.open(path, readonly=True) as index:
        is_last = False
        while not is_last:
            is_last = stop.is_set()  # once more when all is written
            for info in index.states():
                expected = known[info]
                try:
                    assert [*index.entries(info)] == listed(expected)
                    tree = index.tree(info)
                    assert files_of(tree) == sorted(expected.keys() - {"locks"})
                    assert [*tree.hidden_keys()] == ["locks"]
                except StateNotFound:
                    assert not index.has(info)


def test_writers_and_readers_at_once(path: Path) -> None:
    stop = SPAWN.Event()
    Index.open(path).close()
    writers = [SPAWN.Process(target=write, args=(path, number)) for number in range(WRITERS)]
    readers = [SPAWN.Process(target=read, args=(path, stop)) for _ in range(2)]
    for process in [*readers, *writers]:
        process.start()
    for process in writers:
        process.join()
    stop.set()
    for process in readers:
        process.join()
    assert [process.exitcode for process in [*writers, *readers]] == [0] * (WRITERS + 2)
    assert is_whole(path)
    with Index.open(path) as index:
        expected = {}
        for writer in range(WRITERS):
            for number in range(ROUNDS):
                second, bucket = place_of(writer, number)
                if number % 5 != 4:
                    contents = listed(contents_of(writer, number))
                    expected[state(second, contents, bucket)] = contents
        assert {info: [*index.entries(info)] for info in index.states()} == expected


def hold(path: Path, holding: Any, release: Any) -> None:
    """A transaction that has written and does not end."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DELETE FROM version")
        connection.execute("DELETE FROM state")
        holding.set()
        release.wait()
        connection.execute("ROLLBACK")


@pytest.mark.parametrize("readonly", [True, False])
def test_readers_go_on_while_somebody_writes(path: Path, readonly: bool) -> None:
    """The transaction ends only when the reader is done: a reader that waited for it would wait for ever."""
    with Index.open(path) as index:
        info = put(index, 1, contents_of(0, 0))
    holding, release = SPAWN.Event(), SPAWN.Event()
    holder = SPAWN.Process(target=hold, args=(path, holding, release))
    holder.start()
    holding.wait()
    with Index.open(path, readonly=readonly) as index:
        assert index.states() == [info]
        assert index.resolve("latest", Location(BUCKET)) == info
        assert [*index.entries(info)] == listed(contents_of(0, 0))
        tree = index.tree(info)
        assert files_of(tree) and tree.hidden_count() == 1
        assert index.references(Location(BUCKET)).of("config")
        index.check()
    assert holder.is_alive()
    release.set()
    holder.join()
    assert holder.exitcode == 0
    with Index.open(path) as index:
        assert index.states() == [info]


def test_a_writer_waits_for_another(path: Path) -> None:
    with Index.open(path) as index:
        info = put(index, 1, contents_of(0, 0))
        holding, release = SPAWN.Event(), SPAWN.Event()
        holder = SPAWN.Process(target=hold, args=(path, holding, release))
        holder.start()
        holding.wait()
        threading.Timer(0.3, release.set).start()
        second = put(index, 2, contents_of(0, 1))
        assert release.is_set()
        holder.join()
        assert index.states() == [info, second]


# --- killed -----------------------------------------------------------------------------------------------------


class Killed(MemoryS3):
    """Kills its process, as ``kill -9`` does, at a request of a number."""

    left = -1

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name in ("versioning", "server_time", "level", "versions", "upload", "stream") and callable(found):
            _count(self)
        return found


def _count(s3: Killed) -> None:
    if s3.left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    s3.left -= 1


def killed_at_statement(index: Index, number: int) -> None:
    """The same at an SQL statement of a number, those of Python's own loops too."""
    left = number

    def count(statement: str) -> None:
        nonlocal left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    index._connection.set_trace_callback(count)


def bucket_of_two_states() -> Killed:
    s3 = Killed(BUCKET)
    for key in ("config", "data/00/a", "data/00/b", "h/..", "snapshots/s", *(f"large/{n}" for n in range(30))):
        s3.put(BUCKET, key, b"1")
    s3.now += 10_000
    return s3


def in_child(work: Callable[[], object]) -> bool:
    """Whether a copy of this process ends its work, and is not killed before. What it does to memory is not seen."""
    child = FORK.Process(target=work)
    child.start()
    child.join()
    assert child.exitcode in (0, -signal.SIGKILL), child.exitcode
    return child.exitcode == 0


def steps(everything: int = 10_000) -> Iterator[int]:
    """Every number at first, then ever fewer."""
    number = 0
    while number < everything:
        yield number
        number += 1 + number // 12


@pytest.mark.parametrize("where", ["request", "statement"])
def test_a_capture_that_is_killed_anywhere_is_lost_and_nothing_else(path: Path, where: str) -> None:
    s3 = bucket_of_two_states()
    with Index.open(path) as index:
        before = [capture_state(s3, index, Location(BUCKET))]
        s3.put(BUCKET, "config", b"22")
        s3.now += 10_000
        before.append(capture_state(s3, index, Location(BUCKET)))
        known = {info: [*index.entries(info)] for info in before}
    s3.put(BUCKET, "data/00/c", b"1")
    s3.delete(BUCKET, "data/00/a")
    s3.now += 10_000
    expected = sorted(key for key in s3.present(BUCKET) if not key.startswith("rwm/"))

    def work(number: int) -> None:
        with Index.open(path) as index:
            if where == "request":
                s3.left = number
            else:
                killed_at_statement(index, number)
            capture_state(s3, index, Location(BUCKET))

    kills = 0
    for number in steps():
        is_done = in_child(lambda number=number: work(number))  # type: ignore[misc]
        with Index.open(path) as index:
            index.check()
            assert {info: [*index.entries(info)] for info in index.states()[:2]} == known
            later = [[entry.key for entry in index.entries(info)] for info in index.states()[2:]]
            assert later in ([], [expected])  # there is little to kill after its transaction
        if is_done:
            break
        kills += 1
    assert kills > 5
    assert is_whole(path)
    with Index.open(path) as index:
        assert len(index.states()) == 3
        s3.now += 10_000
        after = capture_state(s3, index, Location(BUCKET))
        present = {key: version for key, version in s3.present(BUCKET).items() if not key.startswith("rwm/")}
        assert {entry.key: entry.version_id for entry in index.entries(after)} == present
        assert {info: [*index.entries(info)] for info in index.states()[:2]} == known


def test_a_sync_that_is_killed_anywhere_goes_on(tmp_path: Path) -> None:
    s3 = bucket_of_two_states()
    with Index.open(tmp_path / "machine.sqlite") as index:
        infos = []
        for number in range(3):
            s3.put(BUCKET, f"data/{number}", b"1")
            s3.now += 10_000
            infos.append(capture_state(s3, index, Location(BUCKET)))
            s3.now += 10_000
        known = {info: [*index.entries(info)] for info in infos}

    def work(path: Path, number: int) -> None:
        with Index.open(path) as index:
            killed_at_statement(index, number)
            files = list_state_files(s3, Location(BUCKET))
            sync_states(s3, index, Location(BUCKET), files, new_state_files(index, Location(BUCKET), files))
            compare_with_history(s3, index, Location(BUCKET), files)

    never, found = 1 << 40, set()
    for number in steps():
        path = tmp_path / "admin.sqlite"
        for name in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
            name.unlink(missing_ok=True)
        is_done = in_child(lambda path=path, number=number: work(path, number))  # type: ignore[misc]
        with Index.open(path) as index:
            assert {info: [*index.entries(info)] for info in index.states()} == dict(
                list(known.items())[: len(index.states())]
            )
            found.add((len(index.states()), len({one.trust for one in index.recorded()})))
        assert in_child(lambda path=path: work(path, never))  # type: ignore[misc]
        with Index.open(path) as index:
            assert {info: [*index.entries(info)] for info in index.states()} == known
            assert {one.trust for one in index.recorded()} == {"verified"}
        if is_done:
            break
    assert {count for count, _ in found} == {0, 1, 2, 3}
    assert {trusts for _, trusts in found} <= {0, 1}, "verdicts are noted together"


def test_a_state_that_is_taken_in_and_killed_is_there_or_not(path: Path, tmp_path: Path) -> None:
    """To the kind of file that a person imports."""
    contents = {f"data/{number}": "v1" for number in range(50)}
    info = state(1, listed(contents))
    file = tmp_path / "state.jsonl"
    file.write_bytes(b"".join(canonical_form(info, listed(contents))))

    def work(number: int) -> None:
        with Index.open(path) as index, StateImporter(index) as importer:
            killed_at_statement(index, number)
            importer.import_state(ImportSource("state", lambda: file.open("rb"), None, 0, is_stored=False))

    states: list[list[StateInfo]] = []
    for number in steps():
        is_done = in_child(lambda number=number: work(number))  # type: ignore[misc]
        with Index.open(path) as index:
            states.append(index.states())
            assert [[*index.entries(one)] for one in index.states()] in ([], [listed(contents)])
        if is_done:
            break
    assert states[0] == [] and states[-1] == [info]


# --- two connections of one process -----------------------------------------------------------------------------


def _require_states(path: Path, count: int) -> None:
    with Index.open(path, readonly=True) as index:
        assert len(index.states()) == count


def in_another_process(path: Path, count: int) -> bool:
    """Whether another process, which opens and closes the index, finds so many states."""
    child = SPAWN.Process(target=_require_states, args=(path, count))
    child.start()
    child.join()
    return child.exitcode == 0


@pytest.mark.parametrize("readonly_first", [True, False])
def test_a_second_connection_keeps_the_locks_of_the_first(path: Path, readonly_first: bool) -> None:
    """Without them another process, when it closes the index, removes the log that is in use: later writes are lost."""
    Index.open(path).close()
    with Index.open(path, readonly=readonly_first) as first, Index.open(path, readonly=not readonly_first) as second:
        writer = second if readonly_first else first
        put(writer, 1, {"config": "v1"})
        assert in_another_process(path, 1)
        put(writer, 2, {"config": "v2"})
        assert in_another_process(path, 2)
