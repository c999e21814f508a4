"""The result of an audit: the verdict on every recorded state, and the last clean one. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from rwm.location import Location
from rwm.model import Entry, PartVerdict, RecordedState, StateInfo, Verdict
from rwm.times import SECOND
from rwm.trust.born_later import judge_born_later
from rwm.trust.finding import Finding, Rule
from rwm.trust.intervals import FOREVER
from rwm.trust.location_audit import LocationAudit
from rwm.trust.missing_versions import Missing
from rwm.trust.verdict import worse

CONTRADICTED_STATE = Rule(
    "contradicted-state",
    "proof",
    "the bucket's history contradicts a recorded state",
    "whoever wrote the state's file claims what never was in the bucket",
)
UNCHECKED_STATE = Rule(
    "unchecked-state",
    "hint",
    "a recorded state was not compared with the bucket's history",
    "the machine may have written its file; `rwm state sync` compares it",
)
INCOMPLETE_STATE = Rule(
    "incomplete-state",
    "hint",
    "versions of a recorded state are gone",
    "a prune, a lifecycle rule or a deletion by the admin took them away; the prune is named, if one is recorded",
)
_BY_TRUST = {"contradicted": CONTRADICTED_STATE, "unchecked": UNCHECKED_STATE, "unknown": INCOMPLETE_STATE}


@dataclass(frozen=True)
class StateVerdict:
    """The verdict on one state, and the listed findings whose consequence it contains.

    ``parts`` are what an index records: the verdict on all that was judged of the state, and, unless that is clean, on
    each repository.
    """

    state: RecordedState
    verdict: Verdict
    findings: tuple[Finding, ...]
    parts: tuple[PartVerdict, ...]
    missing: Missing | None = None
    """What is known of versions of it that are gone."""


@dataclass(frozen=True)
class AuditReport:
    """The findings of an audit, and the verdicts on recorded states, oldest first.

    ``about_states`` are those of the findings that are about a recorded state as a whole.
    ``unknown_files`` is the number of state files in the bucket whose states are not recorded.
    """

    audit: LocationAudit
    findings: list[Finding]
    about_states: list[Finding]
    states: list[StateVerdict]
    unknown_files: int

    @property
    def last_clean(self) -> StateInfo | None:
        """The newest recorded state that is clean, of the whole location, and confirmed."""
        location = self.audit.location
        clean = (item.state for item in reversed(self.states) if item.verdict == "clean")
        return next((state.info for state in clean if state.is_confirmed_for(location)), None)

    @property
    def last_clean_at(self) -> int | None:
        """Its time, or without one the newest second at which the repositories were clean and quiet."""
        found = self.last_clean
        return self.audit.quiet_second() if found is None else found.captured_at

    @property
    def verdict(self) -> Verdict:
        """The verdict on the bucket as it is now."""
        return self.audit.verdict_now()

    @property
    def open_proofs(self) -> int:
        """How many proofs nobody has acknowledged, those about recorded states included."""
        return self.audit.proofs + sum(finding.rule.level == "proof" for finding in self._open_about_states())

    @property
    def first_proof(self) -> int:
        """The time of the first of them, in milliseconds; FOREVER without any.

        A forged state has the time that its forger chose: it counts only if there is no other proof.
        """
        about_states = (finding.at for finding in self._open_about_states() if finding.rule.level == "proof")
        first = min((log.first_proof for log in self.audit.logs()), default=FOREVER)
        return min(about_states, default=FOREVER) if first == FOREVER else first

    @property
    def counts(self) -> dict[str, int]:
        """The number of all findings by code, those about recorded states included."""
        counts = Counter(self.audit.counts())
        counts.update(finding.rule.code for finding in self.about_states)
        return dict(counts)

    def _open_about_states(self) -> Iterator[Finding]:
        return (finding for finding in self.about_states if not self.audit.is_acknowledged(finding))

    def open_proof_codes(self, location: Location) -> list[str]:
        """The codes of the proofs below a location that nobody has acknowledged, sorted; empty without any."""
        proofs = [*self.open_findings, *self._open_about_states()]
        codes = {item.rule.code for item in proofs if _is_proof_below(item, location)}
        if not codes and self.audit.last_proof(location):  # it is beyond those that are listed
            codes = {item.rule.code for item in self.findings if _is_proof_below(item, location)}
        return sorted(codes)

    @property
    def open_findings(self) -> list[Finding]:
        """The listed findings that nobody has acknowledged."""
        return [finding for finding in self.findings if not self.audit.is_acknowledged(finding)]


def _is_proof_below(finding: Finding, location: Location) -> bool:
    return finding.rule.level == "proof" and finding.root.startswith(location.prefix)


def make_report(
    audit: LocationAudit,
    recorded: Sequence[RecordedState],
    born_later: Iterable[tuple[str, Entry]] = (),
    missing: Mapping[str, Missing] | None = None,
) -> AuditReport:
    """Judge recorded states, which come oldest first, by an audit.

    ``born_later`` are ids of states with entries that they have from after their second. ``missing`` are ids of those
    of which versions are gone: whatever the index says, they are not confirmed any more. A confirmed state that is
    newer than the audit gets no verdict: another process has captured it meanwhile.
    """
    missing = missing or {}
    recorded = [_as_found(state, missing) for state in recorded]
    findings = audit.findings()
    of_entries = judge_born_later(audit, findings, born_later)
    judged = [state for state in recorded if not _is_newer(state, audit)]
    states = [
        _judge(audit, state, findings, of_entries.get(state.info.id, ()), missing.get(state.info.id))
        for state in judged
    ]
    about_states = [item for state in states for item in state.findings if not item.key]
    known = {state.info.id for state in recorded}
    unknown_files = len({name.id for name in audit.state_files} - known) + audit.more_state_files
    return AuditReport(audit, [*findings, *about_states], about_states, states, unknown_files)


def _as_found(state: RecordedState, missing: Mapping[str, Missing]) -> RecordedState:
    """The state with the trust that it has by what the bucket has of it."""
    is_gone = state.info.id in missing and state.trust in ("own", "verified")
    return replace(state, trust="unknown") if is_gone else state


def _judge(
    audit: LocationAudit,
    state: RecordedState,
    findings: Sequence[Finding],
    of_entries: Sequence[Finding],
    missing: Missing | None,
) -> StateVerdict:
    info, now = state.info, audit.now
    contained = [item for item in findings if item.root.startswith(info.prefix) and contains(item, info)]
    about = _findings_about(audit, state, missing)
    later = [item for item in of_entries if item not in contained]
    verdict = worse(audit.verdict(info), _worst(audit, [*later, *about]))
    judged = max(info.prefix, audit.location.prefix, key=len)
    parts = [PartVerdict(judged, verdict, now)]
    if verdict != "clean":
        parts += [
            PartVerdict(root, worse(found, _worst(audit, [*about, *(one for one in later if one.root == root)])), now)
            for root, found in audit.verdicts(info).items()
            if root != judged
        ]
    judged_state = replace(state, verdict=verdict, audited_at=now)
    return StateVerdict(judged_state, verdict, (*contained, *later, *about), tuple(parts), missing)


def _findings_about(audit: LocationAudit, state: RecordedState, missing: Missing | None) -> list[Finding]:
    """The finding about a state as a whole, if there is one."""
    rule, info = _BY_TRUST.get(state.trust), state.info
    if rule is None or rule.code in audit.settings.except_codes:
        return []
    detail = missing.describe(info) if rule is INCOMPLETE_STATE and missing else f"state {info.short}"
    return [Finding(rule, info.prefix, "", info.id, info.captured_at, detail, info.captured_at)]


def _worst(audit: LocationAudit, findings: Iterable[Finding]) -> Verdict:
    """The verdict by findings that a state contains."""
    levels = {item.rule.level for item in findings if not audit.is_acknowledged(item)}
    return "suspect" if "proof" in levels else "review" if levels else "clean"


def _is_newer(state: RecordedState, audit: LocationAudit) -> bool:
    return state.trust in ("own", "verified") and state.info.captured_at + SECOND > audit.now


def contains(finding: Finding, info: StateInfo) -> bool:
    """Whether a state contains the consequence of a finding."""
    first, last = info.span
    return finding.start <= last and (finding.end == FOREVER or first < finding.end)
