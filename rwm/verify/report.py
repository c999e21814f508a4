"""What a verification says of a state: counts, and the problems that it names one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from rwm.model import Level, StateInfo, Verification

Kind = Literal["wrong", "missing", "archived", "unchecked", "unproved"]
"""Not what the state says; not in the bucket; must be retrieved first; could not be read; its name is no hash."""


class Problem(NamedTuple):
    """What is wrong with a version, or not known of it. ``why`` is empty for ``missing`` and ``unproved``."""

    kind: Kind
    key: str
    version_id: str
    why: str = ""


class VerifiedPart(NamedTuple):
    """What of a state is verified: what it has below a prefix, in objects and bytes."""

    prefix: str
    objects: int
    bytes: int


@dataclass
class VerifyReport:
    """The result for a state, or ``only`` a part of it, without the problems.

    ``on_problem`` is called with each problem, so memory is constant.

    ``started`` is the server's time at the beginning, ``by`` who verifies (:func:`rwm.verify.describe_verifier`).
    ``checked`` and ``bytes`` are what this run has compared (level structure) or read. ``proved`` and ``proved_bytes``
    are the versions whose content is known to be right, read now or before, of ``provable_bytes``. At the level restic,
    ``checked`` counts repositories without an error.
    """

    info: StateInfo
    level: Level
    started: int
    on_problem: Callable[[Problem], None]
    checked: int = 0
    bytes: int = 0
    proved: int = 0
    proved_bytes: int = 0
    provable_bytes: int = 0
    counts: Counter[Kind] = field(default_factory=Counter)
    only: VerifiedPart | None = field(default=None, kw_only=True)
    by: str = field(default="", kw_only=True)

    @property
    def part(self) -> VerifiedPart:
        """What is verified: all of the state, or ``only`` a part."""
        return self.only or VerifiedPart(self.info.prefix, self.info.objects, self.info.bytes)

    @property
    def is_of_whole_state(self) -> bool:
        """Whether nothing of the state was left out, so that it has summaries."""
        return self.part.prefix == self.info.prefix

    def add(self, problem: Problem) -> None:
        """Count and report a problem."""
        self.counts[problem.kind] += 1
        self.on_problem(problem)

    @property
    def faults(self) -> int:
        """What is known to be wrong or missing."""
        return self.counts["wrong"] + self.counts["missing"]

    @property
    def unknown(self) -> int:
        """What should have been checked and was not."""
        return self.counts["unchecked"] + self.counts["archived"]

    def structure(self) -> Verification:
        """The summary of a comparison with a listing, which this was."""
        return Verification(self.started, self.checked, self.bytes, self.part.bytes, self.faults, self.by)

    def begin_content(self) -> None:
        """Count from here on what is read, instead of what was compared with the listing."""
        self.checked = self.bytes = 0

    def content(self) -> Verification:
        """The summary of what is known of the content."""
        return Verification(self.started, self.proved, self.proved_bytes, self.provable_bytes, self.faults, self.by)

    def restic(self) -> Verification:
        """The summary of ``restic check``: repositories that it passes."""
        return Verification(self.started, self.checked, self.bytes, self.part.bytes, self.faults, self.by)
