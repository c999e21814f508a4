"""Which snapshots stay: restic's rules by the time at which the server got each snapshot's file. Pure.

The machine chooses restic's time of a snapshot, its host, paths and tags. It cannot choose the time of an upload, so
snapshots that it makes today push out nothing but what the rules keep of today. A false host or path only makes another
group, whose snapshots are judged among themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rwm.forget.policy import ForgetPolicy
from rwm.restic import Snapshot


class GroupKey(NamedTuple):
    """What the snapshots of a group have in common; empty what they are not grouped by."""

    host: str = ""
    paths: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


class JudgedSnapshot(NamedTuple):
    """A snapshot, when its file was uploaded (milliseconds), and the rules that keep it; without any it is removed."""

    snapshot: Snapshot
    uploaded_at: int
    rules: tuple[str, ...]


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
    return [
        JudgedSnapshot(snapshot, uploaded_at, (*kept.get(number, ()), *_keeping_tags(snapshot, policy)))
        for number, (snapshot, uploaded_at) in enumerate(oldest_first)
    ]


def _keeping_tags(snapshot: Snapshot, policy: ForgetPolicy) -> list[str]:
    """``tag`` once if the tags of the snapshot keep it. An empty tag means a snapshot without any, as in restic."""
    has = set(snapshot.tags) or {""}
    return ["tag"] * any(has.issuperset(tags) for tags in policy.tags)
