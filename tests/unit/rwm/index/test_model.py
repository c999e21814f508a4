"""The index against the plainest model there is: a dict of dicts, whatever is recorded and forgotten in which order."""

from __future__ import annotations

import tempfile
from contextlib import closing
from itertools import pairwise
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from rwm.index import Index
from rwm.index.pending import Before
from rwm.index.schema import FOREVER
from rwm.location import Location
from rwm.model import Change, Difference, Entry, EntryBatch, StateInfo
from rwm.names import hidden_keys
from tests.unit.states import changes, shown, state, walk

BUCKETS = ["one", "two"]
# Packed names beside each other, what is nearly packed, hidden names, and text that sorts between all of them.
NAMES = ["a", "b", "", "..", "\0", "я", "a" * 15, "a" * 16, "a" * 15 + "b", "a" * 17, "A" * 16, "0" * 16, "f" * 18]
VERSIONS = [
    ("v1", 1, "e1", 1000),
    ("0123456789abcdef", 2, "0" * 32, 2000),
    # Without versioning, or while it is suspended, every version is called null, also what replaces it in place.
    ("null", 1, "e1", 1000),
    ("null", 1, "e2", 1000),
    ("null", 1, "e1", 2000),
    ("null", 3, "e1", 1000),
]

keys = st.lists(st.sampled_from(NAMES[:4]) | st.sampled_from(NAMES), min_size=1, max_size=3).map("/".join).filter(bool)
few = st.dictionaries(st.sampled_from(["a", "a/b", "a" * 16]), st.sampled_from([VERSIONS[2], VERSIONS[4]]), max_size=2)
many = st.dictionaries(keys, st.sampled_from(VERSIONS), max_size=6)
contents = st.one_of(few, few, many).map(lambda found: sorted(Entry(key, *version) for key, version in found.items()))
buckets = st.sampled_from(["one", *BUCKETS])  # most happens in one of them
seconds = st.integers(1, 4)
picks = st.integers(0, 99)


class IndexMachine(RuleBasedStateMachine):
    """Two connections to one file, as two processes have them; the second writes when the first does not expect it."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory(prefix="rwm-index-")
        path = Path(self.directory.name) / "index.sqlite"
        self.index, self.other = Index.open(path), Index.open(path)
        self.states: dict[str, dict[int, StateInfo]] = {bucket: {} for bucket in BUCKETS}
        self.entries: dict[StateInfo, list[Entry]] = {}

    def teardown(self) -> None:
        self.index.close()
        self.other.close()
        self.directory.cleanup()

    # --- what happens

    @rule(bucket=buckets, second=seconds, entries=contents, spooled=st.booleans())
    def record(self, bucket: str, second: int, entries: list[Entry], spooled: bool) -> None:
        info = state(second, entries, bucket)
        is_new = info not in self.entries
        if spooled:
            with closing(self.index.capture_spool()) as spool:
                spool.add(EntryBatch.of([entry]) for entry in reversed(entries))
                assert self.index.record(info, spool) == is_new
        else:
            assert self.index.record(info, entries) == is_new
        if is_new:
            self._remember(info, entries)

    @rule(bucket=buckets, second=seconds, entries=contents, base=picks)
    @precondition(lambda self: self.entries)
    def record_changes(self, bucket: str, second: int, entries: list[Entry], base: int) -> None:
        """Upon any state, which is the one before or is not."""
        info, upon = state(second, entries, bucket), self._pick(base)
        found = list(changes(self.entries[upon], entries))
        can_be = info not in self.entries and self._before(info) == upon
        assert self.index.record_changes(info, upon, found) == can_be
        if can_be:
            self._remember(info, entries)

    @rule(bucket=buckets, second=seconds, entries=contents)
    def record_upon_the_one_before(self, bucket: str, second: int, entries: list[Entry]) -> None:
        info = state(second, entries, bucket)
        upon = self._before(info)
        if upon and info not in self.entries:
            assert self.index.record_changes(info, upon, list(changes(self.entries[upon], entries)))
            self._remember(info, entries)

    @rule(bucket=buckets, second=seconds, entries=contents, between=st.lists(st.tuples(seconds, contents)), gone=picks)
    def something_happens_between_comparison_and_writing(
        self, bucket: str, second: int, entries: list[Entry], between: list[tuple[int, list[Entry]]], gone: int
    ) -> None:
        info = state(second, entries, bucket)
        if info in self.entries:
            return
        pending = self.index.prepare(info, entries)
        before = self._before(info)
        assert pending.before == Before(*((before.id,), before.id) if before else ((), None))
        assert list(pending.changes()) == list(changes(self.entries[before] if before else [], entries))
        for moment, others in between:
            added = state(moment, others, bucket)
            if self.other.record(added, others):
                self._remember(added, others)
        if self.entries and gone % 2:
            self._forget(self._pick(gone), self.other)
        assert pending.record("own", None) == (info not in self.entries)
        if info not in self.entries:
            self._remember(info, entries)

    @rule(number=picks)
    @precondition(lambda self: self.entries)
    def forget(self, number: int) -> None:
        self._forget(self._pick(number), self.index)

    @rule(number=picks)
    @precondition(lambda self: self.entries)
    def record_once_more(self, number: int) -> None:
        info = self._pick(number)
        assert not self.index.record(info, self.entries[info])

    # --- the model

    def _remember(self, info: StateInfo, entries: list[Entry]) -> None:
        self.states[info.bucket][self._moment(info)] = info
        self.entries[info] = entries

    def _moment(self, info: StateInfo) -> int:
        taken = self.states[info.bucket]
        return next(moment for moment in range(info.captured_at, info.captured_at + 1000) if moment not in taken)

    def _before(self, info: StateInfo) -> StateInfo | None:
        earlier = [moment for moment in self.states[info.bucket] if moment < self._moment(info)]
        return self.states[info.bucket][max(earlier)] if earlier else None

    def _pick(self, number: int) -> StateInfo:
        return list(self.entries)[number % len(self.entries)]

    def _forget(self, info: StateInfo, index: Index) -> None:
        index.forget([info])
        index.forget([info])  # once more changes nothing
        del self.entries[info]
        moments = self.states[info.bucket]
        del moments[next(moment for moment, one in moments.items() if one == info)]

    def _of(self, bucket: str) -> list[StateInfo]:
        return [info for _, info in sorted(self.states[bucket].items())]

    # --- what has to be so after every step

    @invariant()
    def states_are_listed_oldest_first(self) -> None:
        for bucket in BUCKETS:
            assert self.index.states(Location(bucket)) == self._of(bucket)
            assert [self.index.moment(info) for info in self._of(bucket)] == sorted(self.states[bucket])
        assert sorted(self.index.states(), key=repr) == sorted(self.entries, key=repr)

    @invariant()
    def every_state_has_its_entries(self) -> None:
        for info, entries in self.entries.items():
            assert list(self.index.entries(info)) == entries

    @invariant()
    def every_state_is_a_tree_and_hides_what_cannot_be_shown(self) -> None:
        for info, entries in self.entries.items():
            tree, hidden = self.index.tree(info), hidden_keys(one.key for one in entries)
            expected = shown(one.key for one in entries if one.key not in hidden)
            assert walk(tree) == expected
            assert sorted(tree.hidden_keys()) == sorted(hidden)
            assert tree.hidden_count() == len(hidden)
            names = sorted(name.rstrip("/") for name in expected[""])
            for name in NAMES:
                assert (tree.child(tree.root, name) is not None) == (name in names)
                after = [node.name for node in tree.children(tree.root, name)]
                assert after == [one for one in names if one > name]

    @invariant()
    def states_of_a_bucket_differ_as_their_entries_do(self) -> None:
        for bucket in BUCKETS:
            states = self._of(bucket)
            for before, after in [*pairwise(states), *zip(states, states[2:], strict=False)]:
                assert self.index.differences(before, after) == self._differences(before, after)
                assert self.index.differences(after, before) == self._differences(after, before)

    def _differences(self, before: StateInfo, after: StateInfo) -> list[Difference]:
        old = {one.key: one for one in self.entries[before]}
        new = {one.key: one for one in self.entries[after]}
        return [
            Difference(key, old.get(key), new.get(key))
            for key in sorted(old.keys() | new.keys())
            if old.get(key) != new.get(key)
        ]

    @invariant()
    def references_say_which_states_need_which_versions(self) -> None:
        for bucket in BUCKETS:
            states, references = self._of(bucket), self.index.references(Location(bucket))
            found: set[tuple[Entry, int]] = set()
            expected = {(one, n) for n, info in enumerate(states) for one in self.entries[info]}
            for key in sorted({one.key for one, _ in expected} | {"never/there", "a/never"}):
                claims = references.of(key)
                numbers = [number for _, of in claims for number in of]
                assert len(numbers) == len(set(numbers)), "ranges overlap"
                found |= {(one, number) for one, of in claims for number in of}
            assert found == expected

    @invariant()
    def there_are_no_more_rows_than_needed(self) -> None:
        """An interval begins and ends with a state, and what goes on is in one row."""
        for bucket in BUCKETS:
            rows = self.index._connection.execute(
                "SELECT v.* FROM version v JOIN directory d ON d.id = v.directory JOIN bucket b ON b.id = d.bucket "
                "WHERE b.name = ? ORDER BY directory, v.name, since",
                (bucket,),
            ).fetchall()
            moments = self.states[bucket].keys()
            for _, _, since, until, *_ in rows:
                assert since in moments
                assert until in moments or until == FOREVER
            for one, after in pairwise(rows):
                if one[:2] == after[:2]:
                    assert one[3] <= after[2]
                    assert one[3] < after[2] or one[4:] != after[4:]


IndexMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=15, deadline=None)
TestIndexModel = IndexMachine.TestCase


def test_the_changes_of_a_pending_state_are_its_differences(tmp_path: Path) -> None:
    """To tie the model's own idea of a change to words."""
    kept, gone, new = Entry("a", "v1", 1, "e", 0), Entry("b", "v1", 1, "e", 0), Entry("c/d", "v2", 1, "e", 0)
    with Index.open(tmp_path / "index.sqlite") as index:
        index.record(state(1, [kept, gone]), [kept, gone])
        pending = index.prepare(state(2, [kept, new]), [kept, new])
        assert (pending.count, list(pending.changes())) == (2, [Change("b", None), Change("c/d", new)])
