"""Import of state files: a verified state is recorded as unchecked, an invalid file leaves nothing."""

from __future__ import annotations

import gzip
import io
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import IO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rwm.states.importing
from rwm.errors import AccessDenied, BadState, Unreachable
from rwm.index import Index
from rwm.model import Change, Entry, StateInfo, StoredFile
from rwm.statefile.canonical import canonical_form, delta_key, file_key, parse_file_key
from rwm.statefile.delta import changes, write_delta
from rwm.states.importing import ImportSource, StateImporter
from tests.unit.states import BUCKET, entry, listed, state

Made = tuple[StateInfo, list[Entry]]


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with Index.open(tmp_path / "index.sqlite") as index:
        yield index


def made(second: int, contents: dict[str, str], bucket: str = BUCKET) -> Made:
    return state(second, listed(contents), bucket), listed(contents)


class Files:
    """State files by the id in their name; counts how often each is opened."""

    def __init__(self) -> None:
        self.by_id: dict[str, ImportSource] = {}
        self.opened: list[str] = []

    def add(self, key: str, body: bytes) -> ImportSource:
        @contextmanager
        def content() -> Iterator[IO[bytes]]:
            self.opened.append(key)
            yield io.BytesIO(body)

        source = ImportSource(key, content, parse_file_key(key), len(body), is_stored=True)
        if source.name:
            self.by_id[source.name.id] = source
        return source

    def full(self, one: Made) -> ImportSource:
        return self.add(file_key(one[0]), whole(one))

    def delta(self, one: Made, base: Made) -> ImportSource:
        return self.add(delta_key(one[0]), upon(one, base))

    def row(self, length: int, *, root: bool = True) -> list[Made]:
        """States that are a chain of deltas."""
        states = [made(second, {f"k{n}": "v1" for n in range(second)}) for second in range(1, length + 1)]
        if root:
            self.full(states[0])
        for base, one in pairwise(states):
            self.delta(one, base)
        return states


def whole(one: Made) -> bytes:
    return gzip.compress(b"".join(canonical_form(*one)))


def upon(one: Made, base: Made, *, info: StateInfo | None = None, spoilt: list[Change] | None = None) -> bytes:
    """A delta file; another header or other changes make it invalid."""
    found = list(changes(base[1], one[1])) if spoilt is None else spoilt
    file = io.BytesIO()
    write_delta(info or one[0], base[0].id, found, len(found), file)
    return file.getvalue()


ONE = made(1, {"a": "v1", "b": "v1", "c/d": "v1"})
TWO = made(2, {"a": "v1", "b": "v2", "c/d": "v1", "e": "v1"})
THREE = made(3, {"a": "v3", "e": "v1"})
ONE_AT_TWO = made(2, {"a": "other"})


# --- what proves itself ------------------------------------------------------------------------------------------


def test_a_full_state_is_recorded_as_unchecked_with_its_file(index: Index) -> None:
    source = Files().full(ONE)
    with StateImporter(index, BUCKET) as importer:
        assert importer.import_state(source) == (ONE[0], True)
        assert importer.import_state(source) == (ONE[0], False)
    assert [*index.entries(ONE[0])] == ONE[1]
    assert index.trust(ONE[0]) == "unchecked"
    assert index.ledger.stored(ONE[0]) == StoredFile(source.size, None)


@pytest.mark.parametrize("there", [True, False])
def test_the_base_of_a_delta_is_recorded_or_in_a_file(index: Index, there: bool) -> None:
    files = Files()
    base, delta = files.full(ONE), files.delta(TWO, ONE)
    with StateImporter(index, BUCKET, files.by_id.get) as importer:
        if there:
            importer.import_state(base)
        assert importer.import_state(delta) == (TWO[0], True)
    assert index.states() == ([ONE[0], TWO[0]] if there else [TWO[0]])
    assert [*index.entries(TWO[0])] == TWO[1]
    assert index.ledger.stored(TWO[0]) == StoredFile(delta.size, ONE[0].id)


def test_the_base_of_a_delta_may_be_any_earlier_state(index: Index) -> None:
    files = Files()
    index.record(*TWO)
    index.record(*ONE)
    with StateImporter(index, BUCKET, files.by_id.get) as importer:
        assert importer.import_state(files.delta(THREE, ONE)) == (THREE[0], True)
    assert [*index.entries(THREE[0])] == THREE[1]
    assert [*index.entries(TWO[0])] == TWO[1]


def test_a_file_outside_the_bucket_is_not_recorded_as_stored(index: Index) -> None:
    files = Files()
    with StateImporter(index, find=files.by_id.get) as importer:
        for source in (files.full(ONE), files.delta(TWO, ONE)):
            importer.import_state(source._replace(is_stored=False, name=None))
    assert [index.ledger.stored(info) for info in index.states()] == [None, None]


def test_a_chain_reads_deltas_twice_and_the_full_file_once(index: Index) -> None:
    files = Files()
    states = files.row(6)
    with StateImporter(index, BUCKET, files.by_id.get) as importer:
        for one in states:
            assert importer.import_state(files.by_id[one[0].id]) == (one[0], True)
    assert [[*index.entries(info)] for info, _ in states] == [entries for _, entries in states]
    assert len(files.opened) == 1 + 2 * 5


def test_forgotten_bases_are_read_from_their_files(index: Index) -> None:
    files = Files()
    states = files.row(6)
    with StateImporter(index, BUCKET, files.by_id.get) as importer:
        assert importer.import_state(files.by_id[states[-1][0].id]) == (states[-1][0], True)
    assert index.states() == [states[-1][0]]
    assert [*index.entries(states[-1][0])] == states[-1][1]


def test_hidden_keys(index: Index) -> None:
    keys = ["..", "../../etc/passwd", "/", "//", "a", "a/", "a/b", "a\0b", "a\nb", "\x1b[31m", "x" * 1024, "я", "rwm"]
    one = made(1, dict.fromkeys(keys, "v1"))
    two = made(2, dict.fromkeys(keys[::2], "v2"))
    files = Files()
    with StateImporter(index, BUCKET) as importer:
        for source in (files.full(one), files.delta(two, one)):
            importer.import_state(source)
    assert [[*index.entries(info)] for info in index.states()] == [one[1], two[1]]


@settings(max_examples=40, deadline=None)
@given(
    contents=st.lists(st.dictionaries(st.sampled_from(["a", "a/b", "c", "d"]), st.sampled_from("xy")), max_size=6),
    bases=st.lists(st.integers(-1, 5), min_size=6, max_size=6),
    order=st.randoms(use_true_random=False),
    forgets=st.sets(st.integers(0, 5)),
)
def test_files_in_any_order_with_any_base(
    tmp_path_factory: pytest.TempPathFactory,
    contents: list[dict[str, str]],
    bases: list[int],
    order: random.Random,
    forgets: set[int],
) -> None:
    """Each is full or a delta upon an earlier one; some are forgotten as soon as they are recorded."""
    files = Files()
    states = [made(second // 2, versions | {str(second): "v"}) for second, versions in enumerate(contents)]
    for number, one in enumerate(states):
        base = bases[number]
        if 0 <= base < number:
            files.delta(one, states[base])
        else:
            files.full(one)
    numbers = list(range(len(states)))
    order.shuffle(numbers)
    with Index.open(tmp_path_factory.mktemp("index") / "index.sqlite") as index:
        with StateImporter(index, BUCKET, files.by_id.get) as importer:
            for number in numbers:
                info = states[number][0]
                assert importer.import_state(files.by_id[info.id]) == (info, True)
                if number in forgets:
                    index.forget([info])
        expected = {info: entries for n, (info, entries) in enumerate(states) if n not in forgets}
        assert {info: [*index.entries(info)] for info in index.states()} == expected


# --- what does not -----------------------------------------------------------------------------------------------

Fault = Callable[[Files], ImportSource]


def _delta_header(**fields: object) -> Fault:
    return lambda files: files.add(delta_key(TWO[0]), upon(TWO, ONE, info=replace(TWO[0], **fields)))  # type: ignore[arg-type]


def _delta_changes(*spoilt: Change) -> Fault:
    return lambda files: files.add(delta_key(TWO[0]), upon(TWO, ONE, spoilt=list(spoilt)))


def _full_header(**fields: object) -> Fault:
    return lambda files: files.add(file_key(TWO[0]), whole((replace(TWO[0], **fields), TWO[1])))  # type: ignore[arg-type]


OTHER = made(2, {"a": "v1"}, "other")
ID, LATER = TWO[0].id, TWO[0].captured_at + 1000
FAULTS: dict[str, tuple[str, Fault]] = {
    "another id than its name": ("content has the id", lambda files: files.add(file_key(TWO[0]), whole(ONE_AT_TWO))),
    "another time than its name": ("another time", lambda files: files.add(file_key(TWO[0]), whole(ONE))),
    "of another bucket": ("another bucket: other", lambda files: files.full(OTHER)),
    "a header with another outcome": ("content has the id", _full_header(outcome="ok")),
    "a header with more objects": ("cut off: 4 of 5", _full_header(objects=5)),
    "a header with less objects": ("there are more", _full_header(objects=3)),
    "a header with other bytes": ("bytes", _full_header(bytes=7)),
    "cut off": ("cut off", lambda files: files.add(file_key(TWO[0]), whole(TWO)[:-20])),
    "empty": ("is empty", lambda files: files.add(file_key(TWO[0]), b"")),
    "garbage": ("format|JSON|header", lambda files: files.add(file_key(TWO[0]), b"garbage" * 100)),
    "two files in one": ("something follows", lambda files: files.add(file_key(TWO[0]), whole(TWO) * 2)),
    "a key of ours": ("key below rwm/", lambda files: files.full(made(2, {"rwm/states/x": "v1"}))),
    "not sorted": ("not sorted", lambda files: files.add(file_key(TWO[0]), whole((TWO[0], TWO[1][::-1])))),
    "a key twice": ("twice", lambda files: files.full((TWO[0], [*TWO[1][:1], *TWO[1][:3]]))),
    "a delta of another id": ("not " + "f" * 64, _delta_header(id="f" * 64)),
    "a delta of another outcome": ("the state has the id", _delta_header(outcome="ok")),
    "a delta of another bucket": ("another bucket: other", _delta_header(bucket="other")),
    "a delta of another time": ("another time", _delta_header(captured_at=LATER)),
    "a delta with more objects": ("the state has the id", _delta_header(objects=5)),
    "a delta that removes what is not there": ("does not have it", _delta_changes(Change("never", None))),
    "a delta with another entry": ("the state has the id", _delta_changes(Change("b", entry("b", "v9")))),
    "a delta without changes": ("the state has the id", _delta_changes()),
    "a delta that is cut off": ("cut off", lambda files: files.add(delta_key(TWO[0]), upon(TWO, ONE)[:-20])),
    "a delta upon a state that nobody has": ("neither in the index nor among the files", lambda f: f.delta(TWO, THREE)),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("before", ["nothing", "the same state's base in the index", "in a file"])
def test_an_invalid_file_records_nothing_and_the_next_is_imported(index: Index, fault: str, before: str) -> None:
    files = Files()
    if before == "in a file":
        files.full(ONE)
    elif before != "nothing":
        index.record(*ONE)
    there = index.states()
    text, make = FAULTS[fault]
    with StateImporter(index, BUCKET, files.by_id.get) as importer:
        source = make(files)
        if "delta" in fault and "upon" not in fault and before == "nothing":
            text += "|neither in the index nor among the files"
        for _ in range(2):
            with pytest.raises(BadState, match=text):
                importer.import_state(source)
            assert index.states() == there
        good = files.full(ONE), files.delta(THREE, ONE)
        for source, one in zip(good, (ONE, THREE), strict=True):
            assert importer.import_state(source)[0] == one[0]
    assert [[*index.entries(info)] for info in index.states()] == [ONE[1], THREE[1]]


@given(content=st.binary(max_size=200), cut=st.integers(0, 600), place=st.integers(0, 600), byte=st.integers(0, 255))
@settings(max_examples=60, deadline=None)
def test_a_damaged_file_records_nothing(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, cut: int, place: int, byte: int
) -> None:
    plain = b"".join(canonical_form(*TWO))
    delta = gzip.decompress(upon(TWO, ONE))
    files = Files()
    with (
        Index.open(tmp_path_factory.mktemp("index") / "index.sqlite") as index,
        StateImporter(index, BUCKET) as importer,
    ):
        index.record(*ONE)
        for key, body in ((file_key(TWO[0]), plain), (delta_key(TWO[0]), delta)):
            at = place % len(body)
            changed = body[:at] + bytes([byte]) + body[at + 1 :]
            for wrong in (content, body[: cut % len(body)], changed, body + content):
                if wrong != body:
                    with pytest.raises(BadState):
                        importer.import_state(files.add(key, wrong))
                assert index.states() == [ONE[0]]
        assert importer.import_state(files.delta(TWO, ONE)) == (TWO[0], True)


def test_a_delta_upon_a_state_of_another_bucket(index: Index) -> None:
    """Its id is correct, but its base is not in its bucket."""
    there = made(1, {"a": "v1"}, "other")
    files = Files()
    index.record(*there)
    with (
        StateImporter(index, BUCKET) as importer,
        pytest.raises(BadState, match="upon a state of another bucket: other"),
    ):
        importer.import_state(files.delta(TWO, there))
    assert index.states() == [there[0]]


@pytest.mark.parametrize("there", [True, False])
def test_a_file_that_changes_between_two_reads(index: Index, there: bool) -> None:
    """The first read verifies the id, the second one records the changes."""
    if there:
        index.record(*ONE)
    files, bodies = Files(), [upon(TWO, ONE), upon(TWO, ONE, spoilt=[Change("a", None)])]
    files.full(ONE)

    @contextmanager
    def content() -> Iterator[IO[bytes]]:
        yield io.BytesIO(bodies.pop(0))

    source = files.add(delta_key(TWO[0]), b"")._replace(open=content)
    with StateImporter(index, BUCKET, files.by_id.get) as importer:
        if there:
            with pytest.raises(BadState, match="the file changed between two reads"):
                importer.import_state(source)
            assert index.states() == [ONE[0]]
            assert importer.import_state(files.delta(TWO, ONE)) == (TWO[0], True)
        else:
            with pytest.raises(BadState):
                importer.import_state(source)
            assert index.states() == []


# --- rows of deltas that somebody made to cost time -----------------------------------------------------------------


def test_a_cycle_of_deltas(index: Index) -> None:
    files = Files()
    circle = [files.delta(ONE, THREE), files.delta(TWO, ONE), files.delta(THREE, TWO)]
    with StateImporter(index, BUCKET, files.by_id.get) as importer:
        for source in circle:
            with pytest.raises(BadState, match="builds upon"):
                importer.import_state(source)
    assert index.states() == []
    assert len(files.opened) < 10


def test_a_cycle_of_deltas_beside_a_full_file_is_not_stored(index: Index) -> None:
    files = Files()
    one, two, whole_one = files.delta(ONE, TWO), files.delta(TWO, ONE), files.full(ONE)
    with StateImporter(index, BUCKET, files.by_id.get) as importer:
        assert [importer.import_state(source)[1] for source in (one, two, whole_one)] == [True, True, False]
    assert [[*index.entries(info)] for info in index.states()] == [ONE[1], TWO[1]]
    assert index.ledger.chain(ONE[0].id) is index.ledger.chain(TWO[0].id) is None


@pytest.mark.parametrize("length", [2, 3, 4, 5])
def test_chains_are_limited(index: Index, monkeypatch: pytest.MonkeyPatch, length: int) -> None:
    monkeypatch.setattr(rwm.states.importing, "MAX_CHAIN", 3)
    files = Files()
    states = files.row(length + 1)
    last = states[-1][0]
    with StateImporter(index, BUCKET, files.by_id.get) as importer:
        if length > 3:
            with pytest.raises(BadState, match="more than 3 other files"):
                importer.import_state(files.by_id[last.id])
            assert index.states() == []
        for one, _ in states:
            importer.import_state(files.by_id[one.id])
    assert index.states() == [one for one, _ in states]


def test_a_chain_with_a_missing_base_is_read_once(index: Index) -> None:
    files = Files()
    states = files.row(40, root=False)[1:]
    with StateImporter(index, BUCKET, files.by_id.get) as importer:
        for one, _ in reversed(states):
            with pytest.raises(BadState, match="neither in the index nor among the files"):
                importer.import_state(files.by_id[one.id])
        assert len(files.opened) <= 2 * len(states)
        files.opened.clear()
        for one, _ in states:
            with pytest.raises(BadState):
                importer.import_state(files.by_id[one.id])
        assert len(files.opened) <= 2 * len(states)
        index.record(*made(1, {"k0": "v1"}))
        for one, _ in states:
            assert importer.import_state(files.by_id[one.id]) == (one, True)


@pytest.mark.parametrize("error", [AccessDenied("kept back"), Unreachable("no answer")])
def test_a_base_that_cannot_be_read(index: Index, error: Exception) -> None:
    """An unreachable base is requested again, a denied one is not."""
    files, asked = Files(), list[bool]()

    @contextmanager
    def content() -> Iterator[IO[bytes]]:
        asked.append(True)
        if asked:
            raise error
        yield io.BytesIO()

    base = files.full(ONE)
    files.by_id[ONE[0].id] = base._replace(open=content)
    with StateImporter(index, BUCKET, files.by_id.get) as importer:
        for _ in range(2):
            with pytest.raises(type(error)):
                importer.import_state(files.delta(TWO, ONE))
        assert len(asked) == (1 if isinstance(error, AccessDenied) else 2)
        assert importer.import_state(base) == (ONE[0], True)
        assert importer.import_state(files.delta(TWO, ONE)) == (TWO[0], True)
