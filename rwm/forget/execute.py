"""Execute a plan: ``restic forget`` of exactly the snapshots that it names, ``restic prune``, then a state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rwm.config import Config
from rwm.errors import RwmError
from rwm.forget.plan import ForgetPlan, at_repository, list_uploads
from rwm.index import Index
from rwm.location import Location
from rwm.model import StateInfo
from rwm.restic import OnLine, execute_restic
from rwm.s3 import S3
from rwm.states import capture_state

BATCH = 500
"""Snapshots that one restic removes: their ids are arguments, of 65 bytes each."""


@dataclass
class ForgetResult:
    """What was done. ``left`` are snapshots that should have been removed.

    ``error`` is the failure of restic, ``capture_error`` that of the capture.
    """

    removed: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    is_pruned: bool = False
    state: StateInfo | None = None
    error: RwmError | None = None
    capture_error: RwmError | OSError | None = None


def execute_forget(
    s3: S3,
    index: Index,
    config: Config,
    plan: ForgetPlan,
    location: Location,
    *,
    prune: bool = True,
    on_line: OnLine | None = None,
    warn: Callable[[str], None] = lambda text: None,
) -> ForgetResult:
    """Remove what the plan names, and record a state of ``location`` whatever the outcome, so that it is in the index.

    restic waits for locks as in a backup. Failures are in the result. Raises the errors of the listing.
    """
    result = ForgetResult()
    try:
        _remove(at_repository(config, plan.repository), plan, result, prune=prune, on_line=on_line)
    except RwmError as error:
        result.error = error
    present = list_uploads(s3, plan.repository)
    for name in plan.removed:
        (result.left if name in present else result.removed).append(name)
    try:
        result.state = capture_state(s3, index, location, warn=warn)
    except (RwmError, OSError) as error:  # OSError: no space for the spool
        result.capture_error = error
    return result


def _remove(config: Config, plan: ForgetPlan, result: ForgetResult, *, prune: bool, on_line: OnLine | None) -> None:
    """Raises the errors of restic."""
    for ids in _batches(plan.removed):
        execute_restic(config, ["forget", *ids], on_line)
    if prune:
        execute_restic(config, ["prune", *plan.policy.prune_options], on_line)
        result.is_pruned = True


def _batches(ids: Sequence[str]) -> list[Sequence[str]]:
    return [ids[start : start + BATCH] for start in range(0, len(ids), BATCH)]
