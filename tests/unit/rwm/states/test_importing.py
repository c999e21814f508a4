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
from rwm.statefile.delta import write_delta
from rwm.states.importing import ImportSource, StateImporter
from tests.unit.states import BUCKET, changes, entry, listed, state

StateWithEntries = tuple[StateInfo, list[Entry]]


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with Index.open(tmp_path / "index.sqlite") as index:
        yield index


def make_state(second: int, contents: dict[str, str], bucket: str = BUCKET) -> StateWithEntries:
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

    def full(self, one: StateWithEntries) -> ImportSource:
        return self.add(file_key(one[0]), full_file(one))

    def delta(self, one: StateWithEntries, base: StateWithEntries) -> ImportSource:
        return self.add(delta_key(one[0]), delta_file(one, base))

    def chain(self, length: int, *, root: bool = True) -> list[StateWithEntries]:
        """States that are a chain of deltas."""
        states = [make_state(second, {f"k{n}": "v1" for n in range(second)}) for second in range(1, length + 1)]
        if root:
            self.full(states[0])
        for base, one in pairwise(states):
            self.delta(one, base)
        return states


def full_file(one: StateWithEntries) -> bytes:
    return gzip.compress(b"".join(canonical_form(*one)))


def delta_file(
    one: StateWithEntries,
    base: StateWithEntries,
    *,
    info: StateInfo | None = None,
    replaced: list[Change] | None = None,
) -> bytes:
    """A delta file; another header or other changes make it invalid."""
    found = list(changes(base[1], one[1])) if replaced is None else replaced
    file = io.BytesIO()
    write_delta(info or one[0], base[0].id, found, len(found), file)
    return file.getvalue()


ONE = make_state(1, {"a": "v1", "b": "v1", "c/d": "v1"})
TWO = make_state(2, {"a": "v1", "b": "v2", "c/d": "v1", "e": "v1"})
THREE = make_state(3, {"a": "v3", "e": "v1"})
ONE_AT_TWO = make_state(2, {"a": "other"})


# --- valid files --------------------------------------------------------------------------------------------------


def test_a_full_state_is_recorded_as_unchecked_with_its_file(index: Index) -> None:
    source = Files().full(ONE)
    with StateImporter(index, BUCKET) as importer:
        assert importer.import_state(source) == (ONE[0], True)
        assert importer.import_state(source) == (ONE[0], False)
    assert [*index.entries(ONE[0])] == ONE[1]
    assert index.trust(ONE[0]) == "unchecked"
    assert index.ledger.stored_file(ONE[0]) == StoredFile(source.size, None)


@pytest.mark.parametrize("is_recorded", [True, False])
def test_the_base_of_a_delta_is_recorded_or_in_a_file(index: Index, is_recorded: bool) -> None:
    files = Files()
    base, delta = files.full(ONE), files.delta(TWO, ONE)
    with StateImporter(index, BUCKET, files.by_id.get) as importer:
        if is_recorded:
            importer.import_state(base)
        assert importer.import_state(delta) == (TWO[0], True)
    assert index.states() == ([ONE[0], TWO[0]] if is_recorded else [TWO[0]])
    assert [*index.entries(TWO[0])] == TWO[1]
    assert index.ledger.stored_file(TWO[0]) == StoredFile(delta.size, ONE[0].id)


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
    assert [index.ledger.stored_file(info) for info in index.states()] == [None, None]


def test_a_chain_reads_deltas_twice_and_the_full_file_once(index: Index) -> None:
    files = Files()
    states = files.chain(6)
    with StateImporter(index, BUCKET, files.by_id.get) as importer:
        for one in states:
            assert importer.import_state(files.by_id[one[0].id]) == (one[0], True)
    assert [[*index.entries(info)] for info, _ in states] == [entries for _, entries in states]
    assert len(files.opened) == 1 + 2 * 5


def test_forgotten_bases_are_read_from_their_files(index: Index) -> None:
    files = Files()
    states = files.chain(6)
    with StateImporter(index, BUCKET, files.by_id.get) as importer:
        assert importer.import_state(files.by_id[states[-1][0].id]) == (states[-1][0], True)
    assert index.states() == [states[-1][0]]
    assert [*index.entries(states[-1][0])] == states[-1][1]


def test_hidden_keys(index: Index) -> None:
    keys = ["..", "../../etc/passwd", "/", "//", "a", "a/", "a/b", "a\0b", "a\nb", "\x1b[31m", "x" * 1024, "я", "rwm"]
    one = make_state(1, dict.fromkeys(keys, "v1"))
    two = make_state(2, dict.fromkeys(keys[::2], "v2"))
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
    states = [make_state(second // 2, versions | {str(second): "v"}) for second, versions in enumerate(contents)]
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


# --- invalid files ------------------------------------------------------------------------------------------------

Fault = Callable[[Files], ImportSource]


def _delta_header(**fields: object) -> Fault:
    return lambda files: files.add(delta_key(TWO[0]), delta_file(TWO, ONE, info=replace(TWO[0], **fields)))  # type: ignore[arg-type]


def _delta_changes(*replaced: Change) -> Fault:
    return lambda files: files.add(delta_key(TWO[0]), delta_file(TWO, ONE, replaced=list(replaced)))


def _full_header(**fields: object) -> Fault:
    return lambda files: files.add(file_key(TWO[0]), full_file((replace(TWO[0], **fields), TWO[1])))  # type: ignore[arg-type]


OTHER = make_state(2, {"a": "v1"}, "other")
ID, LATER = TWO[0].id, TWO[0].captured_at + 1000
FAULTS: dict[str, tuple[str, Fault]] = {
    "another id than its name": (
        "content has the id",
        lambda files: files.add(file_key(TWO[0]), full_file(ONE_AT_TWO)),
    ),
    "another time than its name": ("another time", lambda files: files.add(file_key(TWO[0]), full_file(ONE))),
    "of another bucket": ("another bucket: other", lambda files: files.full(OTHER)),
    "a header with another outcome": ("content has the id", _full_header(outcome="ok")),
    "a header with more objects": ("cut off: 4 of 5", _full_header(objects=5)),
    "a header with less objects": ("there are more", _full_header(objects=3)),
    "a header with other bytes": ("bytes", _full_header(bytes=7)),
    "cut off": ("cut off", lambda files: files.add(file_key(TWO[0]), full_file(TWO)[:-20])),
    "empty": ("is empty", lambda files: files.add(file_key(TWO[0]), b"")),
    "garbage": ("format|JSON|header", lambda files: files.add(file_key(TWO[0]), b"garbage" * 100)),
    "two files in one": ("something follows", lambda files: files.add(file_key(TWO[0]), full_file(TWO) * 2)),
    "a key below rwm/": ("key below rwm/", lambda files: files.full(make_state(2, {"rwm/states/x": "v1"}))),
    "not sorted": ("not sorted", lambda files: files.add(file_key(TWO[0]), full_file((TWO[0], TWO[1][::-1])))),
    "a key twice": ("repeated", lambda files: files.full((TWO[0], [*TWO[1][:1], *TWO[1][:3]]))),
    "a delta of another id": ("not " + "f" * 64, _delta_header(id="f" * 64)),
    "a delta of another outcome": ("the state has the id", _delta_header(outcome="ok")),
    "a delta of another bucket": ("another bucket: other", _delta_header(bucket="other")),
    "a delta of another time": ("another time", _delta_header(captured_at=LATER)),
    "a delta with more objects": ("the state has the id", _delta_header(objects=5)),
    "a delta that removes a missing key": ("does not have it", _delta_changes(Change("never", None))),
    "a delta with another entry": ("the state has the id", _delta_changes(Change("b", entry("b", "v9")))),
    "a delta without changes": ("the state has the id", _delta_changes()),
    "a delta that is cut off": ("cut off", lambda files: files.add(delta_key(TWO[0]), delta_file(TWO, ONE)[:-20])),
    "a delta upon an unavailable state": ("neither in the index nor among the files", lambda f: f.delta(TWO, THREE)),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("before", ["no base", "a recorded base", "a base in a file"])
def test_an_invalid_file_records_nothing_and_the_next_is_imported(index: Index, fault: str, before: str) -> None:
    files = Files()
    if before == "a base in a file":
        files.full(ONE)
    elif before != "no base":
        index.record(*ONE)
    before_import = index.states()
    text, make = FAULTS[fault]
    with StateImporter(index, BUCKET, files.by_id.get) as importer:
        source = make(files)
        if "delta" in fault and "upon" not in fault and before == "no base":
            text += "|neither in the index nor among the files"
        for _ in range(2):
            with pytest.raises(BadState, match=text):
                importer.import_state(source)
            assert index.states() == before_import
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
    delta = gzip.decompress(delta_file(TWO, ONE))
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
    other = make_state(1, {"a": "v1"}, "other")
    files = Files()
    index.record(*other)
    with (
        StateImporter(index, BUCKET) as importer,
        pytest.raises(BadState, match="upon a state of other"),
    ):
        importer.import_state(files.delta(TWO, other))
    assert index.states() == [other[0]]


@pytest.mark.parametrize("is_recorded", [True, False])
def test_a_file_that_changes_between_two_reads(index: Index, is_recorded: bool) -> None:
    """The first read verifies the id, the second one records the changes."""
    if is_recorded:
        index.record(*ONE)
    files, bodies = Files(), [delta_file(TWO, ONE), delta_file(TWO, ONE, replaced=[Change("a", None)])]
    files.full(ONE)

    @contextmanager
    def content() -> Iterator[IO[bytes]]:
        yield io.BytesIO(bodies.pop(0))

    source = files.add(delta_key(TWO[0]), b"")._replace(open=content)
    with StateImporter(index, BUCKET, files.by_id.get) as importer:
        if is_recorded:
            with pytest.raises(BadState, match="the file changed between two reads"):
                importer.import_state(source)
            assert index.states() == [ONE[0]]
            assert importer.import_state(files.delta(TWO, ONE)) == (TWO[0], True)
        else:
            with pytest.raises(BadState):
                importer.import_state(source)
            assert index.states() == []


# --- chains and cycles --------------------------------------------------------------------------------------------


def test_a_cycle_of_deltas(index: Index) -> None:
    files = Files()
    cycle = [files.delta(ONE, THREE), files.delta(TWO, ONE), files.delta(THREE, TWO)]
    with StateImporter(index, BUCKET, files.by_id.get) as importer:
        for source in cycle:
            with pytest.raises(BadState, match="builds upon"):
                importer.import_state(source)
    assert index.states() == []
    assert len(files.opened) < 10


def test_a_cycle_of_deltas_beside_a_full_file_is_not_stored(index: Index) -> None:
    files = Files()
    one, two, full_one = files.delta(ONE, TWO), files.delta(TWO, ONE), files.full(ONE)
    with StateImporter(index, BUCKET, files.by_id.get) as importer:
        assert [importer.import_state(source)[1] for source in (one, two, full_one)] == [True, True, False]
    assert [[*index.entries(info)] for info in index.states()] == [ONE[1], TWO[1]]
    assert index.ledger.chain_sizes(ONE[0].id) is index.ledger.chain_sizes(TWO[0].id) is None


@pytest.mark.parametrize("length", [2, 3, 4, 5])
def test_chains_are_limited(index: Index, monkeypatch: pytest.MonkeyPatch, length: int) -> None:
    monkeypatch.setattr(rwm.states.importing, "MAX_CHAIN", 3)
    files = Files()
    states = files.chain(length + 1)
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
    states = files.chain(40, root=False)[1:]
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
        index.record(*make_state(1, {"k0": "v1"}))
        for one, _ in states:
            assert importer.import_state(files.by_id[one.id]) == (one, True)


@pytest.mark.parametrize("error", [AccessDenied("denied"), Unreachable("no answer")])
def test_a_base_that_cannot_be_read(index: Index, error: Exception) -> None:
    """An unreachable base is requested again, a denied one is not."""
    files, opened = Files(), list[bool]()

    @contextmanager
    def content() -> Iterator[IO[bytes]]:
        opened.append(True)
        if opened:
            raise error
        yield io.BytesIO()

    base = files.full(ONE)
    files.by_id[ONE[0].id] = base._replace(open=content)
    with StateImporter(index, BUCKET, files.by_id.get) as importer:
        for _ in range(2):
            with pytest.raises(type(error)):
                importer.import_state(files.delta(TWO, ONE))
        assert len(opened) == (1 if isinstance(error, AccessDenied) else 2)
        assert importer.import_state(base) == (ONE[0], True)
        assert importer.import_state(files.delta(TWO, ONE)) == (TWO[0], True)


class TestFilesOfAnEarlierVersion:
    """Written before states had prefixes: their ids, names and content stay."""

    FULL = "243c67637114e231da3fb880e1d53c761d8b5c152ebbbf44b2afbe083263e0e0"
    DELTA = "eab2a6da87dcf2eb856f0bccacc157d473248252d2e37b2367d56dee5f1418c8"

    def test_they_keep_their_ids(self, index: Index) -> None:
        directory, files = Path(__file__).parent / "earlier_version", Files()
        full = (directory / "full.jsonl.gz").read_bytes()
        sources = [
            files.add(f"rwm/states/2023-11-14T22:13:30Z-{self.FULL}.jsonl.gz", full),
            files.add(
                f"rwm/states/2023-11-14T22:13:52Z-{self.DELTA}.delta.jsonl.gz",
                (directory / "delta.jsonl.gz").read_bytes(),
            ),
        ]
        with StateImporter(index, BUCKET) as importer:
            first, second = [importer.import_state(source)[0] for source in sources]
        assert (first.id, first.prefix, first.objects, first.bytes) == (self.FULL, "", 48, 2965)
        assert (second.id, second.prefix, second.objects, second.bytes) == (self.DELTA, "", 48, 2960)
        assert [file_key(first), delta_key(second)] == [source.label for source in sources]
        assert b"".join(canonical_form(first, index.entries(first))) == gzip.decompress(full)
        assert {"snapshots/t", "host1/config"} <= {entry.key for entry in index.entries(second)}
