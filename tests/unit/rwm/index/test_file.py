"""The index as a file: private, migrated, and whatever becomes of it, an error that says what to do."""

from __future__ import annotations

import multiprocessing
import os
import resource
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils import Database

from rwm.errors import IndexDamaged, IndexUnusable, RwmError
from rwm.index import Index
from rwm.index.schema import migrations
from rwm.location import Location
from rwm.model import EntryBatch, StateInfo
from tests.unit.states import BUCKET, files_of, listed, put, state

PAGE = 4096
NOBODY = 65534
SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "index.sqlite"


def test_it_and_its_directory_are_private(tmp_path: Path) -> None:
    path = tmp_path / "new" / "index.sqlite"
    Index.open(path).close()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_symbolic_link_is_not_followed(tmp_path: Path, path: Path) -> None:
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(IndexUnusable):
        Index.open(path)
    assert not (tmp_path / "elsewhere").exists()


def test_a_directory_in_its_place(path: Path) -> None:
    path.mkdir()
    with pytest.raises(IndexUnusable, match="Is a directory"):
        Index.open(path)


def test_readonly_reads_and_cannot_write(path: Path) -> None:
    with Index.open(path) as index:
        info = put(index, 1, {"a": "v1"})
    with Index.open(path, readonly=True) as index:
        assert list(index.entries(info)) == listed({"a": "v1"})
        with pytest.raises(IndexUnusable, match="readonly"):
            index.record(state(2, []), [])
        with pytest.raises(IndexUnusable, match="readonly"):
            index.forget([info])
        assert index.states() == [info]


def test_a_newer_one_is_refused_and_left_alone(path: Path) -> None:
    Index.open(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE _sqlite_migrations SET name = 'm999_of_the_future' WHERE name LIKE 'm002%'")
    connection.close()
    with pytest.raises(IndexUnusable, match="newer version of RWM \\(m999_of_the_future\\)") as error:
        Index.open(path)
    assert not isinstance(error.value, IndexDamaged)  # which sync would move away


def test_two_first_runs_at_once(path: Path) -> None:
    runs = [SPAWN.Process(target=open_and_put, args=(path, n)) for n in range(4)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert [run.exitcode for run in runs] == [0] * 4
    with Index.open(path) as index:
        assert len(index.states()) == 4


def open_and_put(path: Path, second: int) -> None:
    with Index.open(path) as index:
        put(index, second, {"k": f"v{second}"})


# --- an index of the first version ---------------------------------------------------------------------------

HEX = "0123456789abcdef" * 4
FIRST = {
    1: {"a": "v1", "data/01/" + HEX: HEX[:32], "h/..": "null"},
    2: {"a": "v1", "a/b": "v1", "data/01/" + HEX: "f" * 32},
    3: {"a/b": "v1", "": "v1", "я": "v3"},
}


def old_index(path: Path) -> dict[StateInfo, dict[str, str]]:
    """As RWM 0.1 made it: every text is text, and nothing is known of files and trust."""
    database = Database(path)
    migrations.apply(database, stop_before="m002_packed_columns_and_trust")
    run = database.conn.execute
    run("INSERT INTO bucket VALUES (1, ?)", (BUCKET,))
    directories = {"": 1, "a/": 2, "data/": 3, "data/01/": 4, "h/": 5}
    for place, number in directories.items():
        above, _, name = place.rstrip("/").rpartition("/")
        parent = directories[above + "/" * bool(above)] if place else 0
        run("INSERT INTO directory VALUES (?, 1, ?, ?, 0)", (number, parent, name))
    states = {state(second, listed(contents)): contents for second, contents in FIRST.items() if "" not in contents}
    third = {key: version for key, version in FIRST[3].items() if key}
    states[state(3, listed(third))] = third
    for info in states:
        run(
            "INSERT INTO state VALUES (?, 1, ?, ?, ?, ?, ?, ?)",
            (info.id, info.captured_at, info.captured_at, info.origin, info.outcome, info.objects, info.bytes),
        )
    forever = (1 << 47) - 1
    rows = [
        ("", "a", 1000, 3000, "v1", 0),
        ("a/", "b", 2000, forever, "v1", 0),
        ("data/01/", HEX, 1000, 2000, HEX[:32], 0),
        ("data/01/", HEX, 2000, 3000, "f" * 32, 0),
        ("h/", "..", 1000, 2000, "null", 1),
        ("", "я", 3000, forever, "v3", 0),
    ]
    for directory, name, since, until, version, hidden in rows:
        values = (directories[directory], name, since, until, version, f"etag-{version}", hidden)
        run("INSERT INTO version VALUES (?, ?, ?, ?, ?, 1, ?, 1000, ?)", values)
    database.conn.commit()
    database.conn.close()
    return states


class TestMigration:
    def test_everything_is_as_before_and_goes_on(self, path: Path) -> None:
        states = old_index(path)
        for _ in range(2):
            with Index.open(path) as index:
                assert index.states() == list(states)
                for info, contents in states.items():
                    assert list(index.entries(info)) == listed(contents)
                    assert (index.trust(info), index.ledger.stored_file(info)) == ("own", None)
                    assert index.ledger.chain_sizes(info.id) is None
                first, second, _ = (index.tree(info) for info in states)
                assert files_of(first) == ["a", "data/01/" + HEX]
                assert [*first.hidden_keys()] == ["h/.."]
                assert [*second.hidden_keys()] == ["a"]  # beside a/b
                assert index.ledger.ignored(BUCKET) == {}
                index.check()
        with Index.open(path) as index:
            between = put(index, 2, FIRST[1])
            assert list(index.entries(between)) == listed(FIRST[1])
            for info, contents in states.items():
                assert list(index.entries(info)) == listed(contents)
            rows = index._connection.execute("SELECT typeof(name), typeof(version_id) FROM version").fetchall()
            assert rows.count(("blob", "blob")) == 3
            index.forget([*states, between])
            assert index._connection.execute("SELECT count(*) FROM version").fetchone() == (0,)

    def test_it_has_the_tables_of_a_new_one(self, tmp_path: Path, path: Path) -> None:
        old_index(path)
        found = []
        for place in (path, tmp_path / "new.sqlite"):
            with Index.open(place) as index:
                rows = index._connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()
                found.append([(kind, name, " ".join((sql or "").split())) for kind, name, sql in rows])
        assert found[0] == found[1]

    def test_one_that_is_cut_off_leaves_the_index_as_it_was(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        states = old_index(path)
        before = dump(path)

        def cut_off(text: str) -> str:
            raise ValueError("no more")

        with monkeypatch.context() as patch:
            patch.setattr("rwm.index.schema.pack", cut_off)
            with pytest.raises(IndexUnusable):
                Index.open(path)
        assert dump(path) == before
        with Index.open(path) as index:
            assert index.states() == list(states)


def test_the_files_of_backups_are_those_of_the_whole_bucket(path: Path) -> None:
    database = Database(path)
    migrations.apply(database, stop_before="m005_prefixes")
    database.conn.execute("INSERT INTO bucket VALUES (1, ?)", (BUCKET,))
    database.conn.execute("INSERT INTO backup_files VALUES (1, 'home', 12)")
    database.conn.execute("INSERT INTO passed_over VALUES (1, 'file@v1', 'cut off')")
    database.conn.commit()
    database.conn.close()
    with Index.open(path) as index:
        assert index.file_counts.last(Location(BUCKET), "home") == 12
        assert index.file_counts.last(Location(BUCKET, "host1/"), "home") is None
        assert index.ledger.ignored(BUCKET) == {"file@v1": "cut off"}
        index.ledger.reset_trust(Location(BUCKET, "host1/"))
        assert index.ledger.ignored(BUCKET) == {"file@v1": "cut off"}


def dump(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    lines = [*connection.iterdump()]
    connection.close()
    return lines


# --- no right and no room --------------------------------------------------------------------------------------


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A directory that another user may enter."""
    with tempfile.TemporaryDirectory(prefix="rwm-index-") as name:
        yield Path(name)


def in_child(do: Callable[..., str], *arguments: object, nobody: bool = False) -> str:
    """What ``do`` tells in a process of its own; as ``nobody`` in one that has no rights of root."""
    answers = SPAWN.Queue()
    child = SPAWN.Process(target=_child, args=(answers, do, arguments, nobody))
    child.start()
    answer = answers.get()
    child.join()
    assert isinstance(answer, str)
    return answer


def _child(
    answers: multiprocessing.Queue[str], do: Callable[..., str], arguments: Sequence[object], nobody: bool
) -> None:
    if nobody and os.geteuid() == 0:
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    try:
        answers.put(do(*arguments))
    except BaseException as error:
        answers.put(f"internal: {error!r}")
        raise


def record_in(place: Path) -> str:
    try:
        with Index.open(place / "index.sqlite") as index:
            put(index, 2, {"a": "v2"})
    except RwmError as error:
        return f"{type(error).__name__}: {error.message}\n{error.hint}"
    return "recorded"


@pytest.mark.parametrize(("file", "directory"), [(0o400, 0o755), (0o000, 0o755), (0o600, 0o500), (0o400, 0o500)])
def test_without_the_right_to_write(open_place: Path, file: int, directory: int) -> None:
    path = open_place / "index.sqlite"
    with Index.open(path) as index:
        info = put(index, 1, {"a": "v1"})
    path.chmod(file)
    open_place.chmod(directory)
    for one in (path, open_place) if os.geteuid() == 0 else ():
        os.chown(one, NOBODY, NOBODY)
    answer = in_child(record_in, open_place, nobody=True)
    for one in (path, open_place) if os.geteuid() == 0 else ():
        os.chown(one, 0, 0)
    open_place.chmod(0o700)
    path.chmod(0o600)
    assert answer.startswith(f"IndexUnusable: index {path}: "), answer
    assert "index_path" in answer.splitlines()[1]
    with Index.open(path) as index:
        assert index.states() == [info]


def fill(path: Path, room: int, spooled: bool) -> str:
    """Record a large state where no file may grow beyond ``room`` bytes: as on a disk that is full."""
    contents = listed({f"data/{n}-{'of-a-long-name-' * 10}": "v1" for n in range(20_000)})
    info = state(2, contents)
    with Index.open(path) as index:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
        try:
            if spooled:
                with closing(index.capture_spool()) as spool:
                    spool.add([EntryBatch.of(contents)])
                    index.record(info, spool)
            else:
                index.record(info, contents)
        except RwmError as error:
            return f"{type(error).__name__}: {error.message}\n{error.hint}"
    return "recorded"


@pytest.mark.parametrize("spooled", [True, False])
def test_a_full_disk_leaves_the_index_as_it_was(path: Path, spooled: bool) -> None:
    with Index.open(path) as index:
        info = put(index, 1, {"a": "v1"})
    answers = set()
    for room in (100_000, 1_000_000, 2_500_000, 4_000_000, 1 << 30):
        answer = in_child(fill, path, room, spooled)
        answers.add(answer.partition(":")[0])
        with Index.open(path) as index:
            index.check()
            assert index.states()[0] == info
            assert [*index.entries(info)] == listed({"a": "v1"})
            assert len(index.states()) == 1 + (answer == "recorded")
        if answer != "recorded":
            hint = answer.splitlines()[1]
            assert hint.startswith(("the disk is full or failing: make room and", "set TMPDIR to a directory")), answer
    assert answers == {"IndexUnusable", "recorded", *(["SpoolFull"] if spooled else [])}
