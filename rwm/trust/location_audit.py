"""What the audit of a location found: its settings, the findings, and the verdicts that follow from them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from rwm.location import Location
from rwm.model import Acknowledgement, StateInfo, Verdict
from rwm.s3 import ServerClock
from rwm.statefile import FileName
from rwm.times import SECOND
from rwm.trust.captures import Captures
from rwm.trust.finding import Finding, FindingLog, is_acknowledged
from rwm.trust.intervals import FOREVER
from rwm.trust.own_changes import OwnChanges
from rwm.trust.repository_audit import RepositoryAudit, Written
from rwm.trust.verdict import quiet_second, verdict_at, verdict_in
from rwm.trust.version_sample import VersionSample

MAX_STATE_FILES = 100_000
"""State files whose names are held: 30 a day for ten years."""


class AuditSettings(NamedTuple):
    """What is known before an audit: what a person has decided, and what RWM did.

    Acknowledgements by finding id or code, codes that are not judged, and the retention of the configuration. ``own``
    is what RWM itself did, by trusted records. ``samples_locks`` and ``samples_acls``: whether versions are sampled to
    judge their locks and their ACLs.
    """

    acknowledged: Mapping[str, Acknowledgement] = {}
    except_codes: frozenset[str] = frozenset()
    retention: Mapping[str, str] = {}
    own: OwnChanges = OwnChanges()
    samples_locks: bool = False
    samples_acls: bool = False

    @property
    def samples(self) -> bool:
        """Whether versions are sampled at all."""
        return self.samples_locks or self.samples_acls

    def with_judged(self, judged: Acknowledgement, until: int = FOREVER) -> AuditSettings:
        """The settings with one more acknowledgement, in place of an earlier one of the same, up to a time."""
        return self._replace(acknowledged={**self.acknowledged, judged.what: judged._replace(until=until)})


_MEASURED = ServerClock(0, is_measured=True)


@dataclass
class LocationAudit:
    """What the audit of a location found. ``now`` is the server's time at its start, in milliseconds.

    What happened up to ``until`` was judged. ``newest`` is the newest time in the listing, and ``newest_at_start`` the
    newest one that was certainly over at the start. ``state_files`` are the names of the state files, of states that an
    index need not know.
    """

    location: Location
    now: int
    settings: AuditSettings
    repositories: list[RepositoryAudit] = field(default_factory=list)
    state_files: list[FileName] = field(default_factory=list)
    more_state_files: int = 0
    """How many there are beyond :data:`MAX_STATE_FILES`."""
    captures: Captures = field(default_factory=Captures)
    """When states of the location, and of prefixes above it, were captured."""
    state_logs: dict[str, FindingLog] = field(default_factory=dict)
    """Findings about state files, by the prefix of their states."""
    lock_samples: dict[str, VersionSample] = field(default_factory=dict)
    """Versions whose locks are to be judged, by the root of the repository."""
    acl_samples: dict[str, VersionSample] = field(default_factory=dict)
    """Versions whose ACLs are to be judged: such as were uploaded in parts."""
    clock: ServerClock = field(default=_MEASURED, kw_only=True)
    until: int = field(default=FOREVER, kw_only=True)
    newest: int = 0
    newest_at_start: int = 0

    def verdict(self, state: StateInfo) -> Verdict:
        """The verdict on what the state has below the location."""
        return verdict_in(*state.span, (audit.log for audit in self._of(state.location)))

    def verdicts(self, state: StateInfo) -> dict[str, Verdict]:
        """The verdict on each repository that the state contains, by its prefix."""
        return {audit.root: verdict_in(*state.span, [audit.log]) for audit in self._of(state.location)}

    def verdict_now(self) -> Verdict:
        """The verdict on the location as it was at the start of the audit."""
        return verdict_at(self.now, (audit.log for audit in self._of(self.location)))

    def _of(self, location: Location) -> Iterator[RepositoryAudit]:
        """The repositories that the state of a location contains."""
        return (audit for audit in self.repositories if audit.root.startswith(location.prefix))

    def logs(self) -> list[FindingLog]:
        """The logs of all repositories, and those about state files."""
        return [*self.state_logs.values(), *(audit.log for audit in self.repositories)]

    def findings(self) -> list[Finding]:
        """The listed findings, by time."""
        listed = (item for log in self.logs() for item in log.listed())
        return sorted(listed, key=lambda item: (item.at, item.root, item.key))

    def counts(self) -> dict[str, int]:
        """The number of all findings by code."""
        counts: dict[str, int] = {}
        for log in self.logs():
            for code, count in log.counts.items():
                counts[code] = counts.get(code, 0) + count
        return counts

    def is_acknowledged(self, finding: Finding) -> bool:
        """Whether a person has judged it."""
        return is_acknowledged(finding, self.settings.acknowledged)

    def last_proof(self, location: Location) -> int:
        """The time of the newest proof below a location that nobody has acknowledged; 0 without one."""
        logs = [
            *(log for prefix, log in self.state_logs.items() if prefix.startswith(location.prefix)),
            *(audit.log for audit in self._of(location)),
        ]
        return max((log.last_proof for log in logs), default=0)

    @property
    def proofs(self) -> int:
        """How many proofs nobody has acknowledged."""
        return sum(log.proofs for log in self.logs())

    def quiet_second(self) -> int | None:
        """The newest second before the first proof at which the repositories were whole, in milliseconds.

        None without one, and if no repository had a key by then: there is nothing to capture.
        """
        found = quiet_second(self.repositories, self.known_now) if self.repositories else None
        if found is None or not any(audit.keys.present_at(found + SECOND - 1) for audit in self.repositories):
            return None
        return found

    @property
    def known_now(self) -> int:
        """A second that was over at the start by the clock of the objects, even if that could not be measured."""
        return self.now if self.clock.is_measured else min(self.now, self.newest_at_start // SECOND * SECOND)

    def written_after(self, time: int) -> Written:
        """What was written after the second of a time."""
        end = time // SECOND * SECOND + SECOND
        found = [audit.written_since(end) for audit in self.repositories]
        return Written(sum(each.snapshots for each in found), sum(each.bytes for each in found))
