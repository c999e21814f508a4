"""The index against the plainest model there is: the entries of each state, whatever is recorded and forgotten.

States are of whole buckets and of nested prefixes, in any order.
"""

from __future__ import annotations

import tempfile
from contextlib import closing
from itertools import pairwise
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from rwm.index import Index
from rwm.index.directories import DirectoryPaths
from rwm.index.pending import Before, PendingState
from rwm.index.schema import FOREVER
from rwm.location import Location
from rwm.model import Change, Difference, Entry, EntryBatch, StateInfo
from rwm.names import hidden_keys
from tests.unit.states import changes, shown, state, walk

BUCKETS = ["one", "two"]
PREFIXES = ["", "a/", "a/b/", "b/"]
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
prefixes = st.sampled_from(["", *PREFIXES])
locations = st.builds(Location, buckets, prefixes)
seconds = st.integers(1, 4)
picks = st.integers(0, 99)


def below(prefix: str, entries: list[Entry]) -> list[Entry]:
    """The entries below the prefix; the others are moved there."""
    moved = {key: entry for entry in entries if (key := _moved(prefix, entry.key))}
    return [entry._replace(key=key) for key, entry in sorted(moved.items())]


def _moved(prefix: str, key: str) -> str:
    return key if key.startswith(prefix) else prefix + key


def part(prefix: str, entries: list[Entry]) -> list[Entry]:
    """The entries below the prefix."""
    return [entry for entry in entries if entry.key.startswith(prefix)]


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

    @rule(location=locations, second=seconds, entries=contents, spooled=st.booleans())
    def record(self, location: Location, second: int, entries: list[Entry], spooled: bool) -> None:
        info, entries = self._state(location, second, entries)
        is_new = info not in self.entries
        if spooled:
            with closing(self.index.capture_spool()) as spool:
                spool.add(EntryBatch.of([entry]) for entry in reversed(entries))
                assert self.index.record(info, spool) == is_new
        else:
            assert self.index.record(info, entries) == is_new
        if is_new:
            self._remember(info, entries)

    @rule(number=picks, prefix=prefixes, later=st.integers(0, 1))
    @precondition(lambda self: self.entries)
    def record_a_part_of_a_state(self, number: int, prefix: str, later: int) -> None:
        """As a machine captures its prefix when an administrator captures the bucket."""
        whole = self._pick(number)
        if not prefix.startswith(whole.prefix):
            return
        entries = part(prefix, self.entries[whole])
        info = state(whole.captured_at // 1000 + later, entries, whole.bucket, prefix=prefix)
        if self.index.record(info, entries):
            self._remember(info, entries)
        assert list(self.index.entries(info)) == part(prefix, list(self.index.entries(whole)))

    @rule(location=locations, second=seconds, entries=contents, base=picks)
    @precondition(lambda self: self.entries)
    def record_changes(self, location: Location, second: int, entries: list[Entry], base: int) -> None:
        """Upon any state, which is the one before or is not; never upon one of another location."""
        (info, entries), upon = self._state(location, second, entries), self._pick(base)
        found = list(changes(self.entries[upon], entries))
        can_be = info not in self.entries and upon.location == info.location
        assert self.index.record_changes(info, upon, found) == can_be
        if can_be:
            self._remember(info, entries)

    @rule(location=locations, second=seconds, entries=contents)
    def record_upon_the_one_before(self, location: Location, second: int, entries: list[Entry]) -> None:
        info, entries = self._state(location, second, entries)
        before = self._before(info)
        if before.is_base and info not in self.entries:
            upon = self._by_id(before.base)
            assert self.index.record_changes(info, upon, list(changes(self.entries[upon], entries)))
            self._remember(info, entries)

    @rule(
        location=locations,
        second=seconds,
        entries=contents,
        between=st.lists(st.tuples(prefixes, seconds, contents), max_size=3),
        gone=picks,
    )
    def something_happens_between_comparison_and_writing(
        self,
        location: Location,
        second: int,
        entries: list[Entry],
        between: list[tuple[str, int, list[Entry]]],
        gone: int,
    ) -> None:
        info, entries = self._state(location, second, entries)
        if info in self.entries:
            return
        pending, before = self.index.prepare(info, entries), self._before(info)
        assert pending.before == before
        assert list(pending.changes()) == list(changes(self._current_before(info), entries))
        self._check_base_changes(pending, before, entries)
        for prefix, moment, others in between:
            added, others = self._state(Location(location.bucket, prefix), moment, others)
            if self.other.record(added, others):
                self._remember(added, others)
        if self.entries and gone % 2:
            self._forget(self._pick(gone), self.other)
        assert pending.record("own", None) == (info not in self.entries)
        if info not in self.entries:
            self._remember(info, entries)

    def _check_base_changes(self, pending: PendingState, before: Before, entries: list[Entry]) -> None:
        if before.base is None:
            assert pending.base_changes() is None
            return
        found = pending.base_changes()
        assert found is not None
        expected = list(changes(self.entries[self._by_id(before.base)], entries))
        assert (found[0], list(found[1])) == (len(expected), expected)

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

    def _state(self, location: Location, second: int, entries: list[Entry]) -> tuple[StateInfo, list[Entry]]:
        entries = below(location.prefix, entries)
        return state(second, entries, location.bucket, prefix=location.prefix), entries

    def _remember(self, info: StateInfo, entries: list[Entry]) -> None:
        self.states[info.bucket][self._moment(info)] = info
        self.entries[info] = entries

    def _moment(self, info: StateInfo) -> int:
        taken = self.states[info.bucket]
        return next(moment for moment in range(info.captured_at, info.captured_at + 1000) if moment not in taken)

    def _earlier(self, info: StateInfo) -> list[StateInfo]:
        """The overlapping states before the moment that the state would get, oldest first."""
        moments = self.states[info.bucket]
        earlier = [moments[moment] for moment in sorted(moments) if moment < self._moment(info)]
        return [one for one in earlier if one.location.overlaps(info.location)]

    def _before(self, info: StateInfo) -> Before:
        earlier = self._earlier(info)
        shown = [
            one.id
            for number, one in enumerate(earlier)
            if not any(later.location.covers(max(one.location, info.location)) for later in earlier[number + 1 :])
        ]
        same = [one.id for one in earlier if one.location == info.location]
        return Before(tuple(reversed(shown)), same[-1] if same else None)

    def _current_before(self, info: StateInfo) -> list[Entry]:
        """What is current below the state's prefix before it: each key as in the last state that covers it."""
        found: dict[str, Entry] = {}
        for one in self._earlier(info):
            found = {key: entry for key, entry in found.items() if not key.startswith(one.prefix)}
            found |= {entry.key: entry for entry in part(info.prefix, self.entries[one])}
        return sorted(found.values())

    def _pick(self, number: int) -> StateInfo:
        return list(self.entries)[number % len(self.entries)]

    def _by_id(self, state_id: str | None) -> StateInfo:
        return next(info for info in self.entries if info.id == state_id)

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
            assert self.index.locations(bucket) == sorted({info.location for info in self._of(bucket)})
            for location in (Location(bucket, prefix) for prefix in PREFIXES):
                overlapping = [info for info in self._of(bucket) if info.location.overlaps(location)]
                assert self.index.states(location) == overlapping
                assert self.index.moments(location) == {info.id: self.index.moment(info) for info in overlapping}
        assert sorted(self.index.states(), key=repr) == sorted(self.entries, key=repr)

    @invariant()
    def every_state_has_its_entries(self) -> None:
        for info, entries in self.entries.items():
            assert list(self.index.entries(info)) == entries

    @invariant()
    def every_state_has_the_entries_of_its_id(self) -> None:
        self.index.check_ids(list(self.entries))

    @invariant()
    def every_state_is_a_tree_and_hides_what_cannot_be_shown(self) -> None:
        for info in self.entries:
            expected = self._check_tree(info, info.prefix)
            tree, names = self.index.tree(info), sorted(name.rstrip("/") for name in expected[info.prefix])
            for name in NAMES:
                assert (tree.child(tree.root, name) is not None) == (name in names)
                after = [node.name for node in tree.children(tree.root, name)]
                assert after == [one for one in names if one > name]

    @invariant()
    def every_part_of_the_last_state_is_a_tree(self) -> None:
        for info in list(self.entries)[-1:]:
            for prefix in PREFIXES:
                if prefix.startswith(info.prefix):
                    self._check_tree(info, prefix)

    def _check_tree(self, info: StateInfo, prefix: str) -> dict[str, list[str]]:
        """Check the part of a state below a prefix; returns the names in each directory."""
        entries = part(prefix, self.entries[info])
        paths = [one.key.removeprefix(prefix) for one in entries]
        tree, hidden = self.index.tree(info, prefix), hidden_keys(paths)
        found = shown(path for path in paths if path not in hidden)
        expected = {prefix + path: names for path, names in found.items()}
        assert walk(tree) == expected
        assert sorted(tree.hidden_keys()) == sorted(prefix + path for path in hidden)
        assert tree.hidden_count() == len(hidden)
        assert tree.totals() == (len(entries), sum(entry.size for entry in entries))
        return expected

    @invariant()
    def states_of_a_bucket_differ_as_their_entries_do(self) -> None:
        for bucket in BUCKETS:
            states = self._of(bucket)
            for before, after in [*pairwise(states), *zip(states, states[2:], strict=False)]:
                assert self.index.differences(before, after) == self._differences(before, after)
                assert self.index.differences(after, before) == self._differences(after, before)

    def _differences(self, before: StateInfo, after: StateInfo) -> list[Difference]:
        if not before.location.overlaps(after.location):
            return []
        both = max(before.prefix, after.prefix)
        old = {one.key: one for one in part(both, self.entries[before])}
        new = {one.key: one for one in part(both, self.entries[after])}
        return [
            Difference(key, old.get(key), new.get(key))
            for key in sorted(old.keys() | new.keys())
            if old.get(key) != new.get(key)
        ]

    @invariant()
    def references_say_which_states_need_which_versions(self) -> None:
        for location in (Location(bucket, prefix) for bucket in BUCKETS for prefix in PREFIXES):
            references = self.index.references(location)
            states = [info for info in self._of(location.bucket) if info.location == location]
            found: set[tuple[Entry, int]] = set()
            expected = {(one, n) for n, info in enumerate(states) for one in self.entries[info]}
            everywhere = {one.key for info in self._of(location.bucket) for one in self.entries[info]}
            for key in sorted(everywhere | {"never/there", "a/never"}):
                claims = references.of(key)
                numbers = [number for _, of in claims for number in of]
                assert len(numbers) == len(set(numbers)), "ranges overlap"
                assert all(of for _, of in claims), "a claim of no state"
                found |= {(one, number) for one, of in claims for number in of}
            assert found == expected

    @invariant()
    def there_are_no_more_rows_than_needed(self) -> None:
        """An interval begins and ends with a state that covers the key, and what goes on is in one row."""
        paths = DirectoryPaths(self.index._connection)
        for bucket in BUCKETS:
            rows = self.index._connection.execute(
                "SELECT v.* FROM version v JOIN directory d ON d.id = v.directory JOIN bucket b ON b.id = d.bucket "
                "WHERE b.name = ? ORDER BY directory, v.name, since",
                (bucket,),
            ).fetchall()
            for directory, _, since, until, *_ in rows:
                path = paths.of(directory)
                covering = {moment for moment, one in self.states[bucket].items() if path.startswith(one.prefix)}
                assert since in covering
                assert until in covering or until == FOREVER
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
