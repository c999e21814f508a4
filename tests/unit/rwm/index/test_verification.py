"""Results of verifications."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlite_utils import Database

from rwm.index import Index
from rwm.index.schema import migrations
from rwm.model import Entry, Verification
from tests.unit.states import BUCKET, put

RESULT = Verification(5000, 10, 1000, 2000, 1, "admin@host1")


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with Index.open(tmp_path / "index.sqlite") as index:
        yield index


def test_the_last_result_of_each_level_is_kept(index: Index) -> None:
    assert index.verifications.of_states() == {}
    index.verifications.record("a", "content", RESULT)
    index.verifications.record("a", "structure", RESULT)
    index.verifications.record("a", "content", RESULT._replace(faults=0))
    index.verifications.record("b", "restic", RESULT)
    assert index.verifications.of_states() == {
        "a": {"content": RESULT._replace(faults=0), "structure": RESULT},
        "b": {"restic": RESULT},
    }


def test_a_result_of_content_replaces_the_one_before(index: Index) -> None:
    info = put(index, 1, {"config": "v1"})
    (entry,) = index.entries(info)
    for fault in ("wrong", None):
        index.verifications.record_content(BUCKET, [(entry, fault)], 5000)
        assert index._connection.execute("SELECT fault, method FROM content").fetchall() == [(fault, 1)]


def test_a_result_of_an_unknown_key_is_dropped(index: Index) -> None:
    index.verifications.record_content(BUCKET, [(Entry("no/key", "v", 1, "e", 0), None)], 5000)
    assert index._connection.execute("SELECT count(*) FROM content").fetchone() == (0,)


def test_who_has_read_a_version_is_kept(index: Index) -> None:
    info = put(index, 1, {"config": "v1", "data/00/a": "v1"})
    entries = [(entry, None) for entry in index.entries(info)]
    for by in ("", "user1@host1", "admin@host2"):
        index.verifications.record_content(BUCKET, entries, 5000, by)
        found = index._connection.execute("SELECT DISTINCT v.name FROM content LEFT JOIN verifier v ON v.id = verifier")
        assert [row[-1] for row in found] in ([by], [None])
    assert index._connection.execute("SELECT count(*) FROM verifier").fetchone() == (2,)


def test_an_older_version_of_the_program_did_not_say_who(tmp_path: Path) -> None:
    path = tmp_path / "older.sqlite"
    connection = sqlite3.connect(path)
    migrations.apply(Database(connection), stop_before="m009_verifiers")
    connection.execute("INSERT INTO verification VALUES ('a', 'content', 5000, 10, 1000, 2000, 1)")
    connection.commit()
    connection.close()
    with Index.open(path) as index:
        assert index.verifications.of_states() == {"a": {"content": RESULT._replace(by="")}}


def test_an_index_of_an_older_version_gets_the_tables(tmp_path: Path) -> None:
    path = tmp_path / "older.sqlite"
    connection = sqlite3.connect(path)
    migrations.apply(Database(connection), stop_before="m006_verification")
    connection.close()
    with Index.open(path) as index:
        info = put(index, 1, {"config": "v1"})
        index.verifications.record(info.id, "content", RESULT)
    with Index.open(path, readonly=True) as index:
        assert index.verifications.of_states() == {info.id: {"content": RESULT}}


def test_where_there_is_no_index_there_is_no_result(tmp_path: Path) -> None:
    with Index.open(tmp_path / "none.sqlite", readonly=True) as index:
        assert index.verifications.of_states() == {}


def test_results_of_deleted_versions_are_dropped(index: Index) -> None:
    info = put(index, 1, {"config": "v1", "data/00/a": "v1", "data/00/b": "v1"})
    other = put(index, 2, {"config": "v1"}, bucket="other")
    for of in (info, other):
        index.verifications.record_content(of.bucket, [(entry, None) for entry in index.entries(of)], 5000)
    index.verifications.forget_content(
        BUCKET, [("config", "v1"), ("data/00/a", "v1"), ("data/00/b", "v2"), ("no/x", "v")]
    )
    assert [tuple(row) for row in index._connection.execute("SELECT name FROM content ORDER BY 1")] == [
        ("b",),
        ("config",),
    ]
