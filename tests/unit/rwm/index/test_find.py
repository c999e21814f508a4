"""Which state is meant, what is known of it, and what sync leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from rwm.errors import StateNotFound, UsageError
from rwm.index import Index
from rwm.location import Location
from rwm.model import RecordedState, StateInfo, StoredFile, Trust
from tests.unit.states import BUCKET, listed, put, state


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return Index.open(tmp_path / "index.sqlite")


def test_moments_of_a_buckets_states(index: Index) -> None:
    one, two = put(index, 10, {"k": "v1"}), put(index, 10, {"k": "v2"})
    put(index, 10, {"k": "v1"}, "other")
    assert index.moments(Location(BUCKET)) == {one.id: 10_000, two.id: 10_001}
    assert index.moments(Location("nobody's")) == {}


def test_data_version_changes_with_writes_of_other_connections(index: Index) -> None:
    with Index.open(index.path, readonly=True) as reader:
        before = reader.data_version()
        assert reader.data_version() == before
        info = put(index, 10, {"k": "v1"})
        after = reader.data_version()
        assert after != before
        assert reader.data_version() == after
        index.ledger.set_trust({info.id: "verified"}, 1)
        assert reader.data_version() != after


class TestResolve:
    def test_latest_time_id_and_prefix(self, index: Index) -> None:
        first, second = put(index, 10, {"k": "v1"}), put(index, 20, {"k": "v2"})
        assert index.resolve("latest", Location(BUCKET)) == second
        assert index.resolve("1970-01-01T00:00:19Z", Location(BUCKET)) == first
        assert index.resolve("1970-01-01T00:00:20.900Z", Location(BUCKET)) == second
        assert index.resolve(first.id) == first
        assert index.resolve(first.id[:10].upper(), Location(BUCKET)) == first

    def test_the_last_of_one_second_is_the_one_that_came_last(self, index: Index) -> None:
        _, second = put(index, 10, {"k": "v1"}), put(index, 10, {"k": "v2"})
        assert (
            index.resolve("latest", Location(BUCKET))
            == index.resolve("1970-01-01T00:00:10Z", Location(BUCKET))
            == second
        )

    def test_a_bucket_limits_what_an_id_can_mean(self, index: Index) -> None:
        info = put(index, 10, {"k": "v1"}, "other")
        with pytest.raises(StateNotFound, match=f"of bucket {BUCKET}"):
            index.resolve(info.id, Location(BUCKET))

    def test_nothing_found_says_what_to_do(self, index: Index) -> None:
        put(index, 10, {})
        for text in ("latest", "1970-01-01"):
            with pytest.raises(StateNotFound) as error:
                index.resolve(text, Location("other"))
            assert "rwm state sync other" in error.value.hint
            assert "rwm state capture other" in error.value.hint
        with pytest.raises(StateNotFound, match=r"at or before 1970-01-01T00:00:09Z"):
            index.resolve("1970-01-01T00:00:09Z", Location(BUCKET))
        with pytest.raises(StateNotFound, match="begins with 0123"):
            index.resolve("0123", Location(BUCKET))
        for text in ("snapshot", "", " ", "abc%", "_"):
            with pytest.raises(StateNotFound, match="is not a state"):
                index.resolve(text, Location(BUCKET))

    def test_an_ambiguous_prefix_names_the_candidates(self, index: Index) -> None:
        infos = [put(index, second, {}) for second in range(40)]
        prefix = next(c for c in "0123456789abcdef" if sum(i.id.startswith(c) for i in infos) > 1)
        with pytest.raises(StateNotFound, match=r"states .*begin with") as error:
            index.resolve(prefix, Location(BUCKET))
        assert next(i for i in infos if i.id.startswith(prefix)).id[:12] in str(error.value)

    def test_latest_and_times_need_a_bucket(self, index: Index) -> None:
        for text in ("latest", "1970-01-01"):
            with pytest.raises(UsageError, match="needs a bucket"):
                index.resolve(text)


class TestTrust:
    @pytest.mark.parametrize("trust", ["own", "verified"])
    @pytest.mark.parametrize("doubt", ["unknown", "contradicted"])
    def test_latest_and_times_pass_over_what_history_does_not_confirm(
        self, index: Index, trust: Trust, doubt: Trust
    ) -> None:
        first = put(index, 10, {"k": "v1"})
        second = state(20, listed({"k": "v2"}))
        index.record(second, listed({"k": "v2"}), trust=trust)
        assert index.trust(second) == trust
        assert index.resolve("latest", Location(BUCKET)) == index.resolve("1970-01-02", Location(BUCKET)) == second
        index.ledger.set_trust({second.id: doubt}, 5000)
        assert index.resolve("latest", Location(BUCKET)) == index.resolve("1970-01-02", Location(BUCKET)) == first
        assert index.resolve(second.id[:12]) == index.by_id(second.id) == second
        assert index.recorded(Location(BUCKET))[-1] == RecordedState(second, doubt, 5000)

    def test_what_was_not_compared_is_meant_only_where_there_is_nothing_better(self, index: Index) -> None:
        late = state(30, listed({"k": "v3"}))
        index.record(late, listed({"k": "v3"}), trust="unchecked")
        assert index.resolve("latest", Location(BUCKET)) == late
        first = put(index, 10, {"k": "v1"})
        assert index.resolve("latest", Location(BUCKET)) == first

    def test_where_none_is_confirmed_it_says_so(self, index: Index) -> None:
        info = put(index, 10, {"k": "v1"})
        index.ledger.set_trust({info.id: "contradicted"}, 5000)
        for text in ("latest", "1970-01-02"):
            with pytest.raises(StateNotFound, match="history confirms no recorded state") as error:
                index.resolve(text, Location(BUCKET))
            assert "give its id" in error.value.hint
        with pytest.raises(StateNotFound, match="is recorded at or before"):
            index.resolve("1970-01-01T00:00:09Z", Location(BUCKET))

    def test_verdicts_are_noted_with_their_time_and_of_states_that_are_there(self, index: Index) -> None:
        one, two, other = put(index, 1, {}), put(index, 2, {}), put(index, 1, {}, "other")
        index.ledger.set_trust({one.id: "verified", two.id: "unknown", "f" * 64: "contradicted"}, 7000)
        index.ledger.set_trust({two.id: "contradicted"}, 8000)
        found = {recorded.info: (recorded.trust, recorded.checked_at) for recorded in index.recorded()}
        assert found == {one: ("verified", 7000), two: ("contradicted", 8000), other: ("own", None)}

    def test_of_a_state_that_is_not_there(self, index: Index) -> None:
        info = state(1, [])
        for question in (index.trust, index.moment, index.tree, lambda one: list(index.entries(one))):
            with pytest.raises(StateNotFound):
                question(info)
        assert index.by_id(info.id) is None
        assert index.ledger.stored_file(info) is None


class TestLedger:
    """The files of states in their bucket."""

    def put(self, index: Index, second: int, file: StoredFile | None, trust: Trust = "own") -> StateInfo:
        info = state(second, [])
        index.record(info, [], trust=trust, stored=file)
        return info

    def test_the_files_that_a_state_is_read_from(self, index: Index) -> None:
        full = self.put(index, 1, StoredFile(100, None))
        one = self.put(index, 2, StoredFile(20, full.id))
        two = self.put(index, 3, StoredFile(3, one.id))
        beside = self.put(index, 4, StoredFile(4, full.id))
        assert index.ledger.stored_file(two) == StoredFile(3, one.id)
        chains = [index.ledger.chain_sizes(info.id) for info in (full, one, two, beside)]
        assert chains == [(100, []), (100, [20]), (100, [20, 3]), (100, [4])]

    @pytest.mark.parametrize("place", [0, 1, 2])
    @pytest.mark.parametrize("fault", ["contradicted", "forgotten"])
    def test_there_are_none_when_one_of_them_cannot_be_trusted(self, index: Index, place: int, fault: str) -> None:
        full = self.put(index, 1, StoredFile(100, None), "verified")
        one = self.put(index, 2, StoredFile(20, full.id), "unknown")
        two = self.put(index, 3, StoredFile(3, one.id), "unchecked")
        assert index.ledger.chain_sizes(two.id) == (100, [20, 3])
        bad = [full, one, two][place]
        if fault == "contradicted":
            index.ledger.set_trust({bad.id: "contradicted"}, 1)
        else:
            index.forget([bad])
        assert index.ledger.chain_sizes(two.id) is None

    def test_there_are_none_when_a_file_is_not_known(self, index: Index) -> None:
        without = self.put(index, 1, None)
        delta = self.put(index, 2, StoredFile(20, without.id))
        for state_id in (without.id, delta.id, "f" * 64):
            assert index.ledger.chain_sizes(state_id) is None
        assert index.ledger.stored_file(without) is None

    def test_files_that_build_upon_each_other_are_none(self, index: Index) -> None:
        """Who may write to the bucket can make such ones: the full file that they were proven with is not known."""
        one = state(1, [])
        two = self.put(index, 2, StoredFile(20, one.id))
        index.record(one, [], stored=StoredFile(10, two.id))
        assert index.ledger.chain_sizes(one.id) is index.ledger.chain_sizes(two.id) is None

    def test_a_file_in_another_bucket_is_none(self, index: Index) -> None:
        there = state(1, [], "other")
        index.record(there, [], stored=StoredFile(100, None))
        here = self.put(index, 2, StoredFile(20, there.id))
        assert index.ledger.chain_sizes(there.id) == (100, [])
        assert index.ledger.chain_sizes(here.id) is None

    def test_a_file_is_ignored_in_its_bucket_until_it_is_not_ignored_any_more(self, index: Index) -> None:
        ledger = index.ledger
        assert ledger.ignored("one") == {}
        ledger.ignore("one", "file@v1", "cut off")
        ledger.ignore("one", "file@v2", "no state")
        ledger.ignore("one", "file@v2", "no state, once more")
        ledger.ignore("two", "file@v1", "other")
        assert ledger.ignored("one") == {"file@v1": "cut off", "file@v2": "no state, once more"}
        ledger.stop_ignoring("one", "file@v1")
        ledger.stop_ignoring("one", "never")
        ledger.stop_ignoring("never", "file@v1")
        assert ledger.ignored("one") == {"file@v2": "no state, once more"}
        assert ledger.ignored("two") == {"file@v1": "other"}

    def test_a_forgotten_state_is_ignored(self, index: Index) -> None:
        info = self.put(index, 1, None)
        index.forget([info, state(2, [])])
        assert index.ledger.ignored(BUCKET) == {info.id: "forgotten"}

    def test_trust_can_be_reset_but_not_of_states_captured_here(self, index: Index) -> None:
        own, other = self.put(index, 1, None), self.put(index, 2, None, "unchecked")
        elsewhere = state(3, [], "elsewhere")
        index.record(elsewhere, [], trust="unchecked")
        index.ledger.set_trust({other.id: "contradicted", elsewhere.id: "verified"}, 9000)
        for bucket in (BUCKET, "elsewhere"):
            index.ledger.ignore(bucket, "file@v1", "cut off")
        index.ledger.reset_trust(Location(BUCKET))
        index.ledger.reset_trust(Location("never heard of"))
        assert index.recorded(Location(BUCKET)) == [RecordedState(own, "own"), RecordedState(other, "unchecked")]
        assert index.ledger.ignored(BUCKET) == {}
        assert index.recorded(Location("elsewhere")) == [RecordedState(elsewhere, "verified", 9000)]
        assert index.ledger.ignored("elsewhere") == {"file@v1": "cut off"}


class TestLocations:
    """Two machines with a prefix each, and states of the whole bucket."""

    def test_a_time_finds_the_newest_state_that_covers_the_location(self, index: Index) -> None:
        whole = put(index, 10, {"host1/k": "v1", "host2/k": "v1"})
        machine = put(index, 20, {"host1/k": "v2"}, prefix="host1/")
        inner = put(index, 30, {"host1/x/k": "v2"}, prefix="host1/x/")
        covering = {"": whole, "host1/": machine, "host1/x/": inner, "host1/x/y/": inner, "host2/": whole}
        covering |= {"host1/y/": machine, "host10/": whole}
        for prefix, expected in covering.items():
            assert index.resolve("latest", Location(BUCKET, prefix)) == expected, prefix
        assert index.resolve("1970-01-01T00:00:25Z", Location(BUCKET, "host1/x/")) == machine
        assert index.resolve("1970-01-01T00:00:15Z", Location(BUCKET, "host1/x/")) == whole

    def test_a_state_without_credit_is_passed_over_for_one_of_a_location_above(self, index: Index) -> None:
        whole = put(index, 10, {"host1/k": "v1"})
        machine = put(index, 20, {"host1/k": "v2"}, prefix="host1/")
        index.ledger.set_trust({machine.id: "contradicted"}, 1)
        assert index.resolve("latest", Location(BUCKET, "host1/")) == whole

    def test_an_id_is_of_a_state_that_overlaps_the_location(self, index: Index) -> None:
        machine = put(index, 20, {"host1/k": "v2"}, prefix="host1/")
        for prefix in ("", "host1/", "host1/x/"):
            assert index.resolve(machine.id[:10], Location(BUCKET, prefix)) == machine
        with pytest.raises(StateNotFound, match=f"no recorded state of {BUCKET}/host2 has an id"):
            index.resolve(machine.id[:10], Location(BUCKET, "host2/"))

    def test_states_of_prefixes_alone_are_named(self, index: Index) -> None:
        for number in range(1, 8):
            put(index, 10, {f"host{number}/k": "v"}, prefix=f"host{number}/")
        names = ", ".join(f"{BUCKET}/host{number}" for number in range(1, 6))
        message = f"no state of the whole of bucket {BUCKET} is recorded, only of {names}, ...$"
        with pytest.raises(StateNotFound, match=message) as raised:
            index.resolve("latest", Location(BUCKET))
        assert f"rwm state capture {BUCKET}`" in raised.value.hint
        with pytest.raises(StateNotFound, match=f"^no state of {BUCKET}/host8 is recorded$"):
            index.resolve("latest", Location(BUCKET, "host8/"))
        with pytest.raises(StateNotFound, match=f"^no state of bucket {BUCKET} is recorded at or before 1970"):
            index.resolve("1970-01-01T00:00:09Z", Location(BUCKET))

    def test_trust_is_reset_below_the_location_only(self, index: Index) -> None:
        states = [put(index, 10, {}), put(index, 11, {}, prefix="host1/"), put(index, 12, {}, prefix="host1/x/")]
        states.append(put(index, 13, {}, prefix="host10/"))
        gone = [put(index, 14, {}, prefix="host1/"), put(index, 15, {}, prefix="host2/"), put(index, 16, {})]
        index.forget(gone)
        index.ledger.set_trust({info.id: "verified" for info in states}, 5000)
        for prefix in ("", "host1/", "host10/"):
            index.ledger.ignore(BUCKET, f"{prefix}rwm/states/x@v1", "cut off")
        index.ledger.reset_trust(Location(BUCKET, "host1/"))
        assert [index.trust(info) for info in states] == ["verified", "unchecked", "unchecked", "verified"]
        ignored = {"rwm/states/x@v1", "host10/rwm/states/x@v1", gone[1].id, gone[2].id}
        assert index.ledger.ignored(BUCKET).keys() == ignored
        index.ledger.reset_trust(Location(BUCKET))
        assert index.ledger.ignored(BUCKET) == {}
        assert {index.trust(info) for info in states} == {"unchecked"}

    def test_a_file_of_another_location_is_no_base(self, index: Index) -> None:
        whole, machine = state(1, []), state(2, [], prefix="host1/")
        index.record(whole, [], stored=StoredFile(100, None))
        index.record(machine, [], stored=StoredFile(20, whole.id))
        assert index.ledger.chain_sizes(whole.id) == (100, [])
        assert index.ledger.chain_sizes(machine.id) is None
