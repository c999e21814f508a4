"""Which snapshots stay: against a model, and in spite of what a machine claims."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from rwm.forget import Group, read_policy
from rwm.forget.choice import choose
from rwm.restic import Snapshot
from rwm.times import DAY, HOUR

START = 1_699_920_000_000  # midnight
FORMATS = {"hourly": "%Y-%m-%d %H", "daily": "%Y-%m-%d", "weekly": "%G-%V", "monthly": "%Y-%m", "yearly": "%Y"}
POLICY = read_policy({"keep-daily": "14", "keep-weekly": "8", "keep-within": "3d"}, [])


def snapshot(number: int, time: int, host: str = "web1", tags: tuple[str, ...] = ()) -> Snapshot:
    return Snapshot(f"{number:064x}", time, host, ("/etc",), tags)


def kept(groups: Sequence[Group]) -> set[str]:
    return {one.snapshot.id for group in groups for one in group.snapshots if one.rules}


def model(members: list[tuple[Snapshot, int]], counts: dict[str, int], last: int) -> set[str]:
    """As restic's documentation says it: for each of the last N periods that have a snapshot, keep its newest one."""
    newest_first = sorted(members, key=lambda member: (member[1], member[0].id), reverse=True)
    found = {one.id for one, _ in newest_first[:last]}
    for name, count in counts.items():
        newest_of: dict[str, str] = {}
        for one, at in newest_first:
            newest_of.setdefault(datetime.fromtimestamp(at // 1000, UTC).strftime(FORMATS[name]), one.id)
        found |= set(list(newest_of.values())[:count])
        if count > len(newest_of):  # the rule has a rest: the oldest one stays too
            found.add(newest_first[-1][0].id)
    return found


@given(
    uploads=st.lists(st.tuples(st.integers(0, 400 * 24), st.integers(0, 9999 * 365)), min_size=1, max_size=40),
    hosts=st.lists(st.sampled_from(["web1", "web2"]), min_size=40, max_size=40),
    counts=st.dictionaries(st.sampled_from(sorted(FORMATS)), st.integers(1, 8)),
    last=st.integers(1, 5),
)
def test_the_choice_is_that_of_the_model(
    uploads: list[tuple[int, int]], hosts: list[str], counts: dict[str, int], last: int
) -> None:
    members = [
        (snapshot(number, claimed * DAY, hosts[number]), START + hour * HOUR)
        for number, (hour, claimed) in enumerate(uploads)
    ]
    rules = {f"keep-{name}": str(count) for name, count in counts.items()} | {"keep-last": str(last)}
    groups = choose(members, read_policy(rules, []))
    by_host = [[each for each in members if each[0].host == host] for host in ("web1", "web2")]
    assert kept(groups) == set().union(*(model(each, counts, last) for each in by_host if each))
    assert len([one for group in groups for one in group.snapshots]) == len(members)
    assert not [group for group in groups if group.is_emptied]


@given(claimed=st.lists(st.integers(-100 * 365, 9000 * 365), min_size=50, max_size=50))
def test_fifty_forged_times_in_a_day_push_out_no_good_snapshot(claimed: list[int]) -> None:
    good = [(snapshot(number, START + number * DAY), START + number * DAY) for number in range(60)]
    attack = START + 60 * DAY
    before = kept(choose([*good, (snapshot(99, attack), attack)], POLICY))
    forged = [
        (snapshot(100 + number, START + day * DAY), attack + number * 60_000) for number, day in enumerate(claimed)
    ]
    after = kept(choose([*good, *forged], POLICY))
    assert before & {one.id for one, _ in good} == after & {one.id for one, _ in good}
    assert len(after & {one.id for one, _ in good}) > 14


def test_a_copied_history_is_not_taken_for_one_of_a_day() -> None:
    copied = [(snapshot(number, START + number * DAY), START + 60 * DAY + number) for number in range(60)]
    policy = read_policy({"keep-daily": "14", "keep-weekly": "8"}, [])
    future = (snapshot(99, START + 9000 * DAY), START + 61 * DAY)  # the machine's, and hides nothing
    (group,) = choose([*copied, future], policy)
    removed = [one for one in group.snapshots if not one.rules]
    late = {one.snapshot.id for one in removed if one.is_late}
    in_place = [(one, one.time) for one, _ in copied]
    wanted = kept(choose(in_place, policy))
    assert len((late | kept([group])) & wanted) >= len(wanted) - 1, "the machine's takes the place of one"
    assert len(late) > 14 and len(removed) > len(late)


@given(shift=st.integers(-400 * DAY, DAY))
def test_a_time_that_is_not_before_the_upload_is_no_late_upload(shift: int) -> None:
    members = [(snapshot(number, START + number * DAY - shift), START + number * DAY) for number in range(40)]
    assert not any(one.is_late for group in choose(members, POLICY) for one in group.snapshots)


def test_tags_keep_a_snapshot() -> None:
    policy = read_policy({"keep-last": "1", "keep-tag": "a,b"}, ["--keep-tag="])
    tags = [("a", "b", "c"), ("a",), (), ("x",)]
    members = [(snapshot(number, 0, tags=each), START + number) for number, each in enumerate(tags)]
    (group,) = choose(members, policy)
    assert [one.rules for one in group.snapshots] == [("tag",), (), ("tag",), ("last",)]


def test_groups_are_those_of_restic() -> None:
    members = [(snapshot(number, 0, host), START) for number, host in enumerate(["web1", "web2", "web1"])]
    rules = {"keep-last": "1"}
    assert len(choose(members, read_policy(rules, []))) == 2
    assert len(choose(members, read_policy(rules, [], ""))) == 1


def test_a_group_without_a_kept_snapshot_is_emptied() -> None:
    (group,) = choose([(snapshot(0, 0), START)], read_policy({"keep-tag": "x"}, []))
    assert group.is_emptied
