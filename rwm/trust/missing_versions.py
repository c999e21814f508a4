"""Versions of recorded states that are gone from the bucket, and what is known of who deleted them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rwm.model import PruneReport, StateInfo
from rwm.times import iso_second


class Missing(NamedTuple):
    """How many versions of a state are gone (0: not known), and who deleted them, as part of a sentence."""

    versions: int
    why: str

    def describe(self, info: StateInfo) -> str:
        """A sentence about the state."""
        count = f"{self.versions} of its {info.objects} versions" if self.versions else "versions of it"
        return f"state {info.short}: {count} are not in the bucket: {self.why}"


def explain_missing(
    states: Sequence[StateInfo], missing: Mapping[str, int], reports: Sequence[PruneReport], prunes: Sequence[int]
) -> dict[str, Missing]:
    """What is known of the states that lack versions, by id; ``missing`` are their numbers.

    ``reports`` are of prunes that this computer ran, and name the states that they ended. ``prunes`` are the times of
    all prunes by trusted records, oldest first.
    """
    ended = {state.id: report.at for report in reports for state in report.lost_states}
    return {info.id: Missing(missing[info.id], _why(info, ended, prunes)) for info in states if info.id in missing}


def _why(info: StateInfo, ended: Mapping[str, int], prunes: Sequence[int]) -> str:
    if info.id in ended:
        return f"pruned by rwm prune on {iso_second(ended[info.id])}"
    later = [at for at in prunes if at > info.captured_at]
    if later:
        return f"rwm prune may have deleted them, last on {iso_second(later[-1])}"
    return "no rwm prune since then is recorded"
