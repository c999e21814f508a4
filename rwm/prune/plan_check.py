"""Execute a stored plan safely: plan again, delete what both plans name, and refuse if anything else must stay now."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from itertools import islice
from typing import Any

from rwm.errors import Refused
from rwm.index import Index
from rwm.model import SHORT_ID, ObjectVersion, OperationChange, StateInfo
from rwm.prune.deletion_lines import check_deletion
from rwm.prune.deletion_spool import Bits, DeletionSpool
from rwm.prune.key_plan import Deletion, KeyPlan
from rwm.prune.plan import Progress, PrunePlan, plan_prune
from rwm.prune.spool_file import SpoolFile
from rwm.prune.stages import Stage
from rwm.prune.stored_plan import StoredPlan
from rwm.retention import follows_rule
from rwm.s3 import S3
from rwm.s3.listing import Lister
from rwm.shell import quote
from rwm.trust import LocationAudit

PARTITIONS = 256
"""Of ten million planned deletions, 40,000 are compared at a time."""

_BUFFER = 16 << 10
_DIGEST = 16
_NAMED = 3  # versions in an error
_PLANNED = struct.Struct(f">{_DIGEST}sBQ")
_LISTED = struct.Struct(f">{_DIGEST}s?")


def plan_again(
    s3: S3,
    index: Index,
    stored: StoredPlan,
    audit: LocationAudit,
    progress: Progress = lambda count: None,
    lister: Lister | None = None,
    locked_states: Iterable[OperationChange] = (),
) -> PrunePlan:
    """The part of a stored plan that is still to be executed.

    The location is planned anew with the kept states of the stored plan, all states that were recorded since, and its
    cutoff; so every rule is applied to the bucket as it is. What is gone already, what is locked, and what stays as
    evidence now, is left out. Raises Refused when kept states are gone, or when another version of the plan must stay.
    """
    keep = _states_to_keep(index, stored)
    try:
        check = PlanCheck(stored.deletions)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Refused(
            f"the plan of {stored.location} is not as rwm prune --plan-out has written it: {error}",
            hint="nothing was deleted; make a new plan",
        ) from error
    fresh = plan_prune(
        s3,
        index,
        stored.location,
        keep,
        audit=audit,
        progress=progress,
        cutoff=stored.cutoff,
        on_staying=check.observe,
        lister=lister,
        locked_states=locked_states,
    )
    stored.deletions.select(_chosen(stored, check, fresh))
    lost = frozenset(stored.lost_states)
    locations = tuple(
        replace(place, lost_states=tuple(info for info in place.lost_states if info.id in lost))
        for place in fresh.locations
    )
    return replace(fresh, deletions=stored.deletions, locations=locations, uploads=0)


def _chosen(stored: StoredPlan, check: PlanCheck, fresh: PrunePlan) -> dict[Stage, Bits]:
    """What of the stored plan is still to be deleted. Raises Refused if any of it must stay."""
    chosen, conflicts = check.compare(fresh.deletions)
    if count := sum(bits.count() for bits in conflicts.values()):
        found = islice(check.read(conflicts), _NAMED)
        named = ", ".join(f"{item.key} version {item.version_id}" for item in found)
        raise Refused(
            f"the plan of {stored.location} must not be executed: {count} of its versions must stay now: "
            f"{named}{', …' if count > _NAMED else ''}",
            hint="they are current, or a state that was recorded since the plan needs them; nothing was "
            "deleted; make a new plan",
        )
    return chosen


def _states_to_keep(index: Index, stored: StoredPlan) -> list[StateInfo]:
    recorded = index.states(stored.location)
    present = {info.id for info in recorded}
    if gone := [state for state in stored.kept_states if state not in present]:
        raise Refused(
            f"the plan of {stored.location} must not be executed: {len(gone)} of the states that it keeps are not in "
            f"the index any more, the first is {gone[0][:SHORT_ID]}",
            hint=f"`rwm state sync --again {quote(stored.location)}` fetches forgotten states; or make a new plan",
        )
    known = {*stored.lost_states, *stored.other_states}
    return [info for info in recorded if info.id not in known and (follows_rule(stored.location, info.location))]


class PlanCheck:
    """Compares the deletions of a plan with what a later listing has, in bounded memory: partition by partition."""

    def __init__(self, planned: DeletionSpool) -> None:
        self._spool = planned
        self._planned = _Partitions(_PLANNED)
        self._listed = _Partitions(_LISTED)
        for stage in Stage:
            for position, item in planned.read_positions(stage):
                check_deletion(item)
                self._planned.add(_digest(item.key, item.version_id), int(stage), position)

    def observe(self, history: Sequence[ObjectVersion], decision: KeyPlan) -> None:
        """Add the versions of a key that stay."""
        left_out = {*decision.locked, *(item.version_id for item in decision.versions)}
        for entry in history:
            if not entry.is_marker and entry.version_id not in left_out:
                self._listed.add(_digest(entry.key, entry.version_id), True)

    def compare(self, fresh: DeletionSpool) -> tuple[dict[Stage, Bits], dict[Stage, Bits]]:
        """The positions of planned deletions: of those that ``fresh`` has too, and of versions that stay."""
        for stage in Stage:
            for item in fresh.read(stage):
                self._listed.add(_digest(item.key, item.version_id), False)
        chosen = {stage: Bits(self._spool.count(stage)) for stage in Stage}
        staying = {stage: Bits(self._spool.count(stage)) for stage in Stage}
        for number in range(PARTITIONS):
            planned = {digest: (Stage(stage), position) for digest, stage, position in self._planned.read(number)}
            for digest, stays in self._listed.read(number):
                if (found := planned.get(digest)) is not None:
                    (staying if stays else chosen)[found[0]].add(found[1])
        return chosen, staying

    def read(self, positions: Mapping[Stage, Bits]) -> Iterator[Deletion]:
        """The planned deletions at these positions."""
        for stage, bits in positions.items():
            if bits.count():
                yield from (item for position, item in self._spool.read_positions(stage) if position in bits)


class _Partitions:
    """Records in one temporary file, by the first byte of their digest."""

    def __init__(self, form: struct.Struct) -> None:
        self._file = SpoolFile()
        self._form = form
        self._buffers = [bytearray() for _ in range(PARTITIONS)]
        self._places: list[list[tuple[int, int]]] = [[] for _ in range(PARTITIONS)]

    def add(self, digest: bytes, *fields: object) -> None:
        """Add a record."""
        buffer = self._buffers[digest[0]]
        buffer += self._form.pack(digest, *fields)
        if len(buffer) >= _BUFFER:
            self._places[digest[0]].append((self._file.append(buffer), len(buffer)))
            self._buffers[digest[0]] = bytearray()

    def read(self, number: int) -> Iterator[tuple[Any, ...]]:
        """The records of one partition."""
        for offset, length in self._places[number]:
            yield from self._form.iter_unpack(self._file.read(offset, length))
        yield from self._form.iter_unpack(self._buffers[number])


def _digest(key: str, version_id: str) -> bytes:
    return blake2b(f"{version_id}\0{key}".encode(), digest_size=_DIGEST).digest()
