"""What an audit says against the states that a prune keeps. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rwm.location import Location
from rwm.model import RecordedState, StateInfo
from rwm.times import SECOND, iso, iso_second
from rwm.trust import LocationAudit, contains

_PROOF = "a proof of an attack or a fault"


class AuditJudgement:
    """Judges states by an audit of the pruned location."""

    def __init__(self, audit: LocationAudit) -> None:
        self._audit = audit
        self._open = [finding for finding in audit.findings() if not audit.is_acknowledged(finding)]

    def newest_clean(self, states: Sequence[StateInfo]) -> StateInfo | None:
        """The newest clean one of these states, which come oldest first."""
        return next((info for info in reversed(states) if info.objects and self.is_clean(info)), None)

    def last_clean(self, states: Sequence[RecordedState], complete: set[str]) -> StateInfo | None:
        """The last clean state: the newest one that is clean, confirmed by the bucket's history, and complete."""
        confirmed = [state.info for state in states if state.trust in ("own", "verified")]
        return self.newest_clean([info for info in confirmed if info.id in complete])

    def is_clean(self, info: StateInfo) -> bool:
        """Whether the audit found nothing in the state that is not acknowledged."""
        return self._audit.verdict(info) == "clean"

    def describe_newest(self, newest: StateInfo) -> Iterator[str]:
        """A sentence, if the newest kept state is not clean."""
        verdict = self._audit.verdict(newest)
        if verdict == "clean":
            return
        codes = sorted(
            {
                finding.rule.code
                for finding in self._open
                if finding.root.startswith(newest.prefix) and contains(finding, newest)
            }
        )
        judged = "suspect" if verdict == "suspect" else "to be reviewed"
        yield f"the newest kept state {_describe(newest)} is {judged}: {', '.join(codes)}"

    def describe_younger_proof(self, location: Location, kept: Sequence[StateInfo]) -> Iterator[str]:
        """A sentence, if a proof is younger than the newest clean one of the kept states."""
        last = self._audit.last_proof(location)
        clean = self.newest_clean(kept)
        if last and clean is None:
            yield f"there is {_PROOF}, and no kept state is clean"
        elif clean is not None and last // SECOND > clean.captured_at // SECOND:
            at = iso_second(last)
            yield f"{_PROOF} ({at}) is younger than the newest clean state kept, {_describe(clean)}"


def describe_ended_last_clean(last_clean: StateInfo | None, ended: Sequence[StateInfo]) -> Iterator[str]:
    """A sentence, if the plan would end the last clean state."""
    if last_clean is not None and last_clean in ended:
        yield (
            f"this would end the last clean state {_describe(last_clean)}: keep it too, with --keep-state "
            f"{last_clean.short}, or acknowledge what speaks against newer ones"
        )


def _describe(info: StateInfo) -> str:
    return f"{info.short} ({iso(info.captured_at)})"
