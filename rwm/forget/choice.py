"""Which snapshots stay: restic's rules by the time at which the server got each snapshot's file. Pure.

The machine chooses restic's time of a snapshot, its host, paths and tags. It cannot choose the time of an upload, so
snapshots that it makes today push out nothing but what the rules keep of today. A false host or path only makes another
group, whose snapshots are judged among themselves.

A copied or rewritten repository has late uploads: all files are of one day. By their upload, the rules would remove
nearly all of its history, so such removals are marked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rwm.forget.policy import ForgetPolicy
from rwm.restic import Snapshot
from rwm.times import DAY

LATE = DAY
"""How long an upload may take: restic's time of a snapshot is that of the start of its backup."""


class GroupKey(NamedTuple):
    """What the snapshots of a group have in common; empty what they are not grouped by."""

    host: str = ""
    paths: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


class JudgedSnapshot(NamedTuple):
    """A snapshot, when its file was uploaded (milliseconds), and the rules that keep it; without any it is removed.

    ``is_late``: it is removed only because it was uploaded more than a day after restic's own time.
    """

    snapshot: Snapshot
    uploaded_at: int
    rules: tuple[str, ...]
    is_late: bool = False


class Group(NamedTuple):
    """The snapshots of a group, oldest upload first."""

    key: GroupKey
    snapshots: list[JudgedSnapshot]

    @property
    def is_emptied(self) -> bool:
        """Whether none of the snapshots would stay."""
        return not any(judged.rules for judged in self.snapshots)


def choose(snapshots: Iterable[tuple[Snapshot, int]], policy: ForgetPolicy) -> list[Group]:
    """Judge snapshots, each with the time of its upload; groups are sorted."""
    groups: dict[GroupKey, list[tuple[Snapshot, int]]] = {}
    for snapshot, uploaded_at in snapshots:
        groups.setdefault(_group_key(snapshot, policy.group_by), []).append((snapshot, uploaded_at))
    return [Group(key, _judge(members, policy)) for key, members in sorted(groups.items())]


def _group_key(snapshot: Snapshot, group_by: Sequence[str]) -> GroupKey:
    return GroupKey(
        snapshot.host if "host" in group_by else "",
        tuple(sorted(snapshot.paths)) if "paths" in group_by else (),
        tuple(sorted(snapshot.tags)) if "tags" in group_by else (),
    )


def _judge(members: Sequence[tuple[Snapshot, int]], policy: ForgetPolicy) -> list[JudgedSnapshot]:
    oldest_first = sorted(members, key=lambda member: (member[1], member[0].id))
    kept = policy.explain([uploaded_at for _, uploaded_at in oldest_first])
    kept_by_own_time = _kept_by_own_time(members, policy)
    judged = []
    for number, (snapshot, uploaded_at) in enumerate(oldest_first):
        rules = (*kept.get(number, ()), *_keeping_tags(snapshot, policy))
        is_late = not rules and uploaded_at - snapshot.time > LATE and snapshot.id in kept_by_own_time
        judged.append(JudgedSnapshot(snapshot, uploaded_at, rules, is_late))
    return judged


def _kept_by_own_time(members: Sequence[tuple[Snapshot, int]], policy: ForgetPolicy) -> set[str]:
    """The ids of what the rules would keep by restic's time of each snapshot, which is not after the upload."""
    times = {snapshot.id: min(max(snapshot.time, 0), uploaded_at) for snapshot, uploaded_at in members}
    oldest_first = sorted(times, key=lambda name: (times[name], name))
    return {oldest_first[number] for number in policy.explain([times[name] for name in oldest_first])}


def _keeping_tags(snapshot: Snapshot, policy: ForgetPolicy) -> list[str]:
    """``tag`` once if the tags of the snapshot keep it. An empty tag means a snapshot without any, as in restic."""
    has = set(snapshot.tags) or {""}
    return ["tag"] * any(has.issuperset(tags) for tags in policy.tags)
