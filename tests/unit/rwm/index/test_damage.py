"""A damaged index file: every operation raises an error with a hint."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from rwm.errors import IndexDamaged, RwmError
from rwm.index import Index, move_aside
from rwm.location import Location
from rwm.model import StateInfo
from tests.unit.states import BUCKET, files_of, listed, put

PAGE = 4096


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "index.sqlite"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, dict[StateInfo, dict[str, str]]]:
    """An index of some twenty pages, and what is in it."""
    path, states = tmp_path_factory.mktemp("whole") / "index.sqlite", {}
    with Index.open(path) as index:
        for second in range(1, 8):
            contents = {f"data/{n % 16:02x}/{n * 7919:064x}": "v1" for n in range(300) if n % 7 != second}
            contents |= {"a": "v1", "a/b": "v2", "../x": f"v{second}", f"snapshots/{second}": "v1"}
            states[put(index, second, contents)] = contents
    return path.read_bytes(), states


def read_everything(index: Index) -> list[object]:
    """By way of every question that can be asked."""
    states = index.states()
    found: list[object] = [states, index.recorded(Location(BUCKET)), index.ledger.ignored(BUCKET)]
    found += [index.resolve("latest", Location(BUCKET)), index.file_counts.last(Location(BUCKET), "etc")]
    for info in states:
        tree = index.tree(info)
        found += [[*index.entries(info)], files_of(tree), sorted(tree.hidden_keys()), tree.hidden_count()]
        found += [
            index.ledger.chain_sizes(info.id),
            index.ledger.stored_file(info),
            index.references(Location(BUCKET)).of("a"),
        ]
        found.append(index.differences(states[0], info))
    return found


def faults(path: Path) -> list[RwmError]:
    """What goes wrong when the index is opened, checked and read to its end."""
    found: list[RwmError] = []
    try:
        with Index.open(path) as index:
            uses = (index.check, lambda: read_everything(index), lambda: index.check_ids(index.states()))
            for use in uses:
                try:
                    use()
                except RwmError as error:
                    found.append(error)
    except RwmError as error:
        found.append(error)
    return found


Damage = Callable[[bytes, random.Random], bytes]
DAMAGES: dict[str, Damage] = {
    "garbage": lambda content, _: b"not a database at all" * 1000,
    "cut in half": lambda content, _: content[: len(content) // 2],
    "cut at a page": lambda content, _: content[: len(content) // PAGE // 2 * PAGE],
    "header only": lambda content, _: content[:100],
    "zeros at the end": lambda content, _: content[:-PAGE] + bytes(PAGE),
    "first bytes": lambda content, rng: rng.randbytes(64) + content[64:],
    "everything after the header": lambda content, rng: content[:100] + rng.randbytes(len(content) - 100),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_index_raises_index_damaged(
    path: Path, whole: tuple[bytes, dict[StateInfo, dict[str, str]]], damage: str
) -> None:
    content = DAMAGES[damage](whole[0], random.Random(1))
    path.write_bytes(content)
    found = faults(path)
    assert found and {type(error) for error in found} == {IndexDamaged}
    assert all("rwm state sync" in error.hint for error in found)
    assert path.read_bytes() == content


@pytest.mark.parametrize("kind", ["zeros", "random"])
def test_any_page_that_is_lost_is_noticed(
    path: Path, whole: tuple[bytes, dict[StateInfo, dict[str, str]]], kind: str
) -> None:
    content, _ = whole
    rng = random.Random(2)
    assert len(content) // PAGE > 15
    for start in range(0, len(content), PAGE):
        page = bytes(PAGE) if kind == "zeros" else rng.randbytes(PAGE)
        for name in ("", "-wal", "-shm"):
            Path(f"{path}{name}").unlink(missing_ok=True)
        path.write_bytes(content[:start] + page + content[start + PAGE :])
        found = faults(path)
        assert found and {type(error) for error in found} == {IndexDamaged}, start // PAGE


def test_text_that_is_not_utf8_is_damage(path: Path) -> None:
    """SQLite does not look at it, Python does."""
    with Index.open(path) as index:
        info = put(index, 1, {"name-of-a-key": "v1"})
    path.write_bytes(path.read_bytes().replace(b"name-of-a-key", b"name-\xff\xfe-a-key"))
    with Index.open(path) as index:
        for question in (lambda: [*index.entries(info)], lambda: files_of(index.tree(info))):
            with pytest.raises(IndexDamaged, match="Could not decode") as error:
                question()
            assert "rwm state sync" in error.value.hint


def test_an_intact_index_has_no_fault(path: Path, whole: tuple[bytes, dict[StateInfo, dict[str, str]]]) -> None:
    """Or the tests above say nothing."""
    content, states = whole
    path.write_bytes(content)
    assert faults(path) == []
    with Index.open(path) as index:
        assert {info: listed(contents) for info, contents in states.items()} == {
            info: [*index.entries(info)] for info in index.states()
        }


def test_a_damaged_index_is_renamed_with_its_log(path: Path) -> None:
    with Index.open(path) as index:
        put(index, 1, {"a": "v1"})
        content = [Path(f"{path}{suffix}").read_bytes() for suffix in ("", "-wal")]
        first = move_aside(path)
    Index.open(path).close()
    path.write_bytes(b"the next one")
    second = move_aside(path)
    third = move_aside(path)  # there is none to move
    assert len({path, first, second}) == 3
    assert first.name.startswith("index.sqlite.damaged-") and second.name.startswith("index.sqlite.damaged-")
    assert [Path(f"{first}{suffix}").read_bytes() for suffix in ("", "-wal")] == content
    assert second.read_bytes() == b"the next one"
    assert not path.exists() and not third.exists()
    with Index.open(path) as index:
        assert index.states() == []
