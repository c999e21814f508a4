"""Copies in the bucket: taken together they give back every state, and cost what changes."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rwm.statefile.delta
from rwm.index import Index
from rwm.layout import STATES_PREFIX
from rwm.location import Location
from rwm.model import Entry, StateInfo, StoredFile
from rwm.statefile.canonical import delta_key, file_key, parse_file_key
from rwm.statefile.delta import is_full_due
from rwm.states.capture import capture_state
from rwm.states.sync import list_state_files, new_state_files, sync_states
from tests.unit.memory import MemoryS3
from tests.unit.states import BUCKET


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with Index.open(tmp_path / "index.sqlite") as index:
        yield index


@pytest.fixture
def s3() -> MemoryS3:
    """A bucket whose full state is so large that what changes afterwards is little."""
    s3 = MemoryS3(BUCKET, "other")
    for number in range(50):
        s3.put(BUCKET, f"data/{hashlib.sha256(bytes(number)).hexdigest()}", b"x")
    return s3


def captured(s3: MemoryS3, index: Index, key: str = "new") -> StateInfo:
    """A state that has one change more than the one before."""
    s3.put(BUCKET, key, b"x")
    s3.now += 10_000
    info = capture_state(s3, index, Location(BUCKET))
    s3.now += 10_000
    return info


def kinds(s3: MemoryS3, *infos: StateInfo) -> str:
    """F for a state that has a full file, D for a delta."""
    there = s3.present(BUCKET)
    assert all((file_key(info) in there) != (delta_key(info) in there) for info in infos)
    return "".join("D" if delta_key(info) in there else "F" for info in infos)


class TestWhichKind:
    def test_the_first_is_full_and_the_next_are_deltas(self, s3: MemoryS3, index: Index) -> None:
        infos = [captured(s3, index) for _ in range(4)]
        assert kinds(s3, *infos) == "FDDD"
        assert len([key for key in s3.present(BUCKET) if key.startswith(STATES_PREFIX)]) == 4

    def test_a_delta_is_upon_the_last_state_of_the_same_location(self, s3: MemoryS3, index: Index) -> None:
        """The other ones change what it is compared with in the index."""
        here, machine = Location(BUCKET), Location(BUCKET, "host1/")
        infos = []
        for number, location in enumerate([here, machine, here, machine, machine, here]):
            s3.put(BUCKET, "host1/new", bytes(number))
            s3.put(BUCKET, "new", bytes(number))
            s3.now += 10_000
            infos.append(capture_state(s3, index, location))
            s3.now += 10_000
        bases = {info: stored.base for info in infos if (stored := index.ledger.stored_file(info))}
        assert [bases[info] for info in infos if info.location == here] == [None, infos[0].id, infos[2].id]
        assert bases[infos[1]] is None
        assert {bases[info] for info in infos[3:5]} <= {None, infos[1].id, infos[3].id}
        with Index.open(index.path.with_name("other.sqlite")) as other:
            files = list_state_files(s3, here)
            result = sync_states(s3, other, here, files, new_state_files(other, here, files))
            assert (result.rejected, result.unread) == ([], [])
            for info in infos:
                assert list(other.entries(info)) == list(index.entries(info))

    def test_the_index_knows_the_files_and_their_sizes(self, s3: MemoryS3, index: Index) -> None:
        infos = [captured(s3, index) for _ in range(3)]
        bases = [None, infos[0].id, infos[1].id]
        sizes = [len(s3.get(BUCKET, key(info))) for key, info in zip((file_key, delta_key, delta_key), infos)]  # noqa: B905
        stored = [index.ledger.stored_file(info) for info in infos]
        assert stored == [StoredFile(size, base) for size, base in zip(sizes, bases, strict=True)]
        assert index.ledger.chain_sizes(infos[2].id) == (sizes[0], sizes[1:])

    def test_full_again_when_the_deltas_have_come_to_its_size(self, s3: MemoryS3, index: Index) -> None:
        infos = [captured(s3, index) for _ in range(30)]
        found = kinds(s3, *infos)
        assert found.startswith("FDDD")
        again = found.index("F", 1)
        chain = index.ledger.chain_sizes(infos[again - 1].id)
        assert chain and sum(chain[1]) < chain[0]
        assert is_full_due(*chain, chain[1][-1])
        assert index.ledger.stored_file(infos[again]) == StoredFile(len(s3.get(BUCKET, file_key(infos[again]))), None)

    def test_full_again_when_the_row_is_long(self, s3: MemoryS3, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(rwm.statefile.delta, "_CHAIN", 3)
        assert kinds(s3, *(captured(s3, index) for _ in range(6))) == "FDDDFD"

    def test_full_when_most_has_changed(self, s3: MemoryS3, index: Index) -> None:
        first = captured(s3, index)
        for key in s3.present(BUCKET):
            if key.startswith("data/"):
                s3.put(BUCKET, key, b"garbage")
        assert kinds(s3, first, captured(s3, index)) == "FF"

    def test_a_state_of_the_past_builds_upon_the_one_before_it(self, s3: MemoryS3, index: Index) -> None:
        one, two = captured(s3, index), captured(s3, index)
        between = capture_state(s3, index, Location(BUCKET), at=two.captured_at - 5000, origin="past")
        before = capture_state(s3, index, Location(BUCKET), at=one.captured_at - 5000, origin="past")
        assert kinds(s3, one, two, between, before) == "FDDF"
        stored = index.ledger.stored_file(between)
        assert stored and stored.base == one.id


class TestNoDeltaUpon:
    """A state whose files may not be there, or are not true: who needs them later could not read the delta."""

    def test_a_state_whose_file_is_not_known(self, s3: MemoryS3, index: Index) -> None:
        first = captured(s3, index)
        entries = [*index.entries(first)]
        index.forget([first])
        index.record(first, entries, trust="unchecked")
        assert kinds(s3, first, captured(s3, index)) == "FF"

    @pytest.mark.parametrize("place", [0, 1])
    def test_what_is_contradicted_or_builds_upon_it(self, s3: MemoryS3, index: Index, place: int) -> None:
        infos = [captured(s3, index) for _ in range(2)]
        index.ledger.set_trust({infos[place].id: "contradicted"}, 1)
        assert kinds(s3, *infos, captured(s3, index)) == "FDF"

    def test_what_builds_upon_a_forgotten_state(self, s3: MemoryS3, index: Index) -> None:
        infos = [captured(s3, index) for _ in range(2)]
        index.forget(infos[:1])
        assert kinds(s3, *infos, captured(s3, index), captured(s3, index)) == "FDFD"

    def test_a_forgotten_state(self, s3: MemoryS3, index: Index) -> None:
        infos = [captured(s3, index) for _ in range(3)]
        index.forget(infos[2:])
        last = captured(s3, index)
        stored = index.ledger.stored_file(last)
        assert stored and stored.base == infos[1].id

    def test_a_state_of_another_bucket(self, s3: MemoryS3, index: Index) -> None:
        captured(s3, index)
        s3.put("other", "a", b"1")
        there = capture_state(s3, index, Location("other"))
        assert file_key(there) in s3.present("other")


def test_a_state_that_another_process_puts_between_changes_nothing_in_the_file(s3: MemoryS3, index: Index) -> None:
    """The delta is upon what was before when it was written, and that is what the index says."""
    first = captured(s3, index)

    class Meanwhile(MemoryS3):
        def upload(self, bucket: str, key: str, path: Path) -> None:
            s3.upload(bucket, key, path)
            if not between:
                between.append(capture_state(s3, other, Location(BUCKET), at=first.captured_at + 2000, origin="past"))

    between: list[StateInfo] = []
    busy = Meanwhile(BUCKET)
    busy.__dict__.update({name: value for name, value in vars(s3).items() if name != "now"})
    busy.now = s3.now + 20_000
    s3.now += 40_000
    with Index.open(index.path) as other:
        last = capture_state(busy, index, Location(BUCKET))
    assert index.states() == [first, *between, last]
    stored = index.ledger.stored_file(last)
    assert stored and stored.base == first.id
    assert kinds(s3, first, *between, last) == "FDD"


# --- all of it, taken together -----------------------------------------------------------------------------------

Steps = list[tuple[list[tuple[str, bool]], str, int]]

KEYS = ["config", "data/00/a", "data/00/b", "data/ff", "a", "a/b", "keys/" + "ab" * 32]
steps = st.lists(
    st.tuples(
        st.lists(st.tuples(st.sampled_from(KEYS), st.booleans()), max_size=4),
        st.sampled_from(["now", "now", "now", "past", "forget", "nothing"]),
        st.integers(0, 60),
    ),
    min_size=1,
    max_size=10,
)


def taken(s3: MemoryS3, index: Index, order: list[str]) -> None:
    """Every state file of the bucket, given to an importer in an order of their keys."""
    files = {file.key: file for file in list_state_files(s3, Location(BUCKET))}
    assert sorted(files) == sorted(order)
    sync_states(s3, index, Location(BUCKET), list(files.values()), [files[key] for key in order])


@settings(max_examples=40, deadline=None)
@given(steps=steps, row=st.integers(1, 4), order=st.randoms(use_true_random=False))
def test_the_files_give_back_every_state(
    tmp_path_factory: pytest.TempPathFactory, steps: Steps, row: int, order: random.Random
) -> None:
    s3, place = MemoryS3(BUCKET), tmp_path_factory.mktemp("index")
    for number in range(20):  # or every state would be full
        s3.put(BUCKET, f"large/{hashlib.sha256(bytes(number)).hexdigest()}", b"x")
    expected: dict[StateInfo, list[Entry]] = {}
    with pytest.MonkeyPatch.context() as patch, Index.open(place / "index.sqlite") as index:
        patch.setattr(rwm.statefile.delta, "_CHAIN", row)
        for changes, what, second in steps:
            for key, deleted in changes:
                if deleted:
                    s3.delete(BUCKET, key)
                else:
                    s3.put(BUCKET, key, b"1")
            s3.now += 7000
            if what == "forget":
                index.forget(index.states()[second % 3 :][:1])
            elif what != "nothing":
                at = s3.now - second * 1000 - 2000 if what == "past" else None
                info = capture_state(s3, index, Location(BUCKET), at=at, origin="capture" if at is None else "past")
                expected[info] = [*index.entries(info)]
    keys = [key for key in s3.present(BUCKET) if key.startswith(STATES_PREFIX)]
    names = [parse_file_key(key) for key in keys]
    assert {name.id for name in names if name} == {info.id for info in expected}
    for number in range(2):
        order.shuffle(keys)
        with Index.open(place / f"new{number}.sqlite") as fresh:
            taken(s3, fresh, keys)
            assert {info: [*fresh.entries(info)] for info in fresh.states()} == expected
            assert new_state_files(fresh, Location(BUCKET), list_state_files(s3, Location(BUCKET))) == []
