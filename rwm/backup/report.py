"""What a run reports: the result of each backup, and the outcome and exit code of all. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from rwm.backup.quick_audit import QuickAudit
from rwm.model import Outcome, StateInfo
from rwm.restic import Result


@dataclass(frozen=True, slots=True)
class BackupResult:
    """The result of one entry of ``backups``. ``exit_code`` is restic's, None if restic was not run.

    ``files`` is how many restic processed, None if that is not known.
    """

    name: str
    outcome: Outcome
    exit_code: int | None
    seconds: float
    detail: str = ""
    files: int | None = None


@dataclass
class Report:
    """The result of a run. ``forget`` is None if retention was not applied, ``state`` if none was captured.

    ``is_versioned`` says whether the bucket keeps what is overwritten, None if that is not known. ``audit`` is None if
    the bucket was not audited.
    """

    backups: list[BackupResult] = field(default_factory=list)
    forget: Result | None = None
    state: StateInfo | None = None
    warnings: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    is_versioned: bool | None = None
    audit: QuickAudit | None = None

    @property
    def outcome(self) -> Outcome:
        """The outcome of all backups together."""
        return combine_outcomes(result.outcome for result in self.backups)

    @property
    def exit_code(self) -> int:
        """0 if everything succeeded, 1 if no backup was made, 4 if the bucket is not safe, 3 otherwise.

        Not safe: without versioning, or with a proof of an attack that nobody has acknowledged.
        """
        if self.outcome == "failed":
            return 1
        if self.is_versioned is False or (self.audit is not None and self.audit.proofs):
            return 4
        forgotten = self.forget is None or self.forget.outcome == "ok"
        return 0 if self.outcome == "ok" and forgotten and not self.errors else 3


def combine_outcomes(outcomes: Iterable[Outcome]) -> Outcome:
    """ok if all are ok, failed if all failed or there are none, partial otherwise."""
    different = set(outcomes)
    if len(different) == 1:
        return different.pop()
    return "partial" if different else "failed"
