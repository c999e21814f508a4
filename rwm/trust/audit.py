"""The audit of a location: one version listing, repository by repository. No content is read, no index is needed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from rwm.errors import AccessDenied
from rwm.layout import CONFIG_FILE, STATES_PREFIX
from rwm.location import Location
from rwm.model import Acknowledgement, ObjectVersion, StateInfo, Verdict
from rwm.s3 import S3, ServerClock, read_clock, wait_for_next_second
from rwm.s3.listing import Discovered, Lister, begin_listings, discover, list_in_parallel
from rwm.statefile import FileName, parse_file_key
from rwm.times import DAY, SECOND
from rwm.trust.acl_rules import is_in_parts
from rwm.trust.captures import Captures
from rwm.trust.finding import Finding, FindingLog, is_acknowledged
from rwm.trust.intervals import FOREVER
from rwm.trust.keep_policy import KeepPolicy
from rwm.trust.key_grouping import group_keys
from rwm.trust.own_changes import OwnChanges
from rwm.trust.repository_audit import PACKS, PHASES, RepositoryAudit, Written
from rwm.trust.roots import enclosing_prefixes
from rwm.trust.state_file_rules import judge_state_file
from rwm.trust.unknown_key_rules import judge_unknown_keys
from rwm.trust.verdict import quiet_second, verdict_at, verdict_in
from rwm.trust.version_sample import VersionSample

Progress = Callable[[int], None]
Histories = Sequence[Sequence[ObjectVersion]]
"""Some keys, each with its entries, newest first."""

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


def audit_location(
    s3: S3,
    location: Location,
    settings: AuditSettings | None = None,
    progress: Progress = lambda count: None,
    *,
    packs: bool = True,
    lister: Lister | None = None,
) -> LocationAudit:
    """Judge every repository at and below a location. ``progress`` is called with the number of versions listed.

    Without ``packs`` the directories ``data/``, where almost all keys are, are not listed: much cheaper, and the
    verdicts are on the rest only. ``lister`` lists in place of ``s3``: one that keeps what it lists.

    What happens after the second of the start is not judged: restic may work meanwhile, and the directories are listed
    one after the other. Raises the errors of the listing: an audit of a part would call clean what it has not seen.

    Where the account cannot measure the clock of the objects, that second is known by the Date header only, which may
    be of another clock. If that matters, the location is listed again, and judged up to the newest time in the first
    listing, which is over whatever the clock.
    """
    settings = settings or AuditSettings()
    clock = read_clock(s3, location)
    clock.wait_until_over(s3, location.bucket)
    audit = LocationAudit(location, clock.second, settings, clock=clock, until=clock.second + SECOND - 1)
    _list_and_judge(lister or s3, audit, progress, packs=packs)
    if not clock.is_measured and _depends_on_clock(audit):
        newest = audit.newest // SECOND * SECOND
        wait_for_next_second()
        now, until = max(clock.second, newest), newest + SECOND - 1
        audit = LocationAudit(location, now, settings, clock=clock, until=until, newest_at_start=newest)
        _list_and_judge(s3, audit, progress, packs=packs)
    return audit


def _depends_on_clock(audit: LocationAudit) -> bool:
    """Whether another clock could change the result.

    The Date header was behind: what happened before the start was not judged. Or there are proofs of the last day: if
    the Date header was ahead, restic may have worked while the directories were listed.
    """
    return audit.newest_at_start > audit.until or audit.last_proof(audit.location) > audit.now - DAY


def _list_and_judge(s3: Lister, audit: LocationAudit, progress: Progress, *, packs: bool) -> None:
    """One listing of the location, repository by repository."""
    location, settings, started = audit.location, audit.settings, time.monotonic()

    def counted(parts: Iterable[Histories]) -> Iterator[Sequence[ObjectVersion]]:
        for histories in parts:
            progress(sum(map(len, histories)))
            newest = max((history[0].last_modified for history in histories), default=0)
            elapsed = int((time.monotonic() - started) * SECOND) + SECOND
            audit.newest = max(audit.newest, newest)
            audit.newest_at_start = max(audit.newest_at_start, newest - elapsed)
            yield from histories

    found: Discovered = discover(s3, location)
    found_at = min(audit.now, audit.until)
    for prefix in enclosing_prefixes(location.prefix):
        _note_captures(s3, audit, prefix)
    places = sorted({location.prefix, *found.state_prefixes})  # the walk does not visit ``rwm/``
    listings = begin_listings(s3, location.bucket, (prefix + STATES_PREFIX for prefix in places))
    for prefix, listing in zip(places, listings, strict=True):
        audit.state_logs[prefix] = _new_log(audit)
        for history in counted(group_keys(listing.batches())):
            _judge_state_file(audit, prefix, history[::-1])
    for root, small in _begun(s3, location.bucket, sorted(found.repositories)):
        policy, captured = KeepPolicy(settings.retention), audit.captures.of(root)
        repository = RepositoryAudit(root, _new_log(audit), audit.now, policy, settings.own, captured)
        for phase in PHASES:
            if phase == PACKS and not packs:
                continue
            listed = _list_phase(s3, location.bucket, root, phase) if small is None else _phase_of(small, root, phase)
            histories = counted(listed)
            repository.observe(_sampled(audit, root, histories) if settings.samples else histories)
        repository.finish()
        for finding in judge_unknown_keys(root, s3.unknown_keys.below(Location(location.bucket, root)), found_at):
            repository.log.add(finding)
        audit.repositories.append(repository)


def _sampled(
    audit: LocationAudit, root: str, histories: Iterable[Sequence[ObjectVersion]]
) -> Iterator[Sequence[ObjectVersion]]:
    """The same histories, each added to the samples of the repository."""
    locks = audit.lock_samples.setdefault(root, VersionSample())
    acls = audit.acl_samples.setdefault(root, VersionSample())
    for history in histories:
        if audit.settings.samples_locks:
            locks.add(history)
        if audit.settings.samples_acls and (in_parts := [each for each in history if is_in_parts(each)]):
            acls.add(in_parts)
        yield history


def _new_log(audit: LocationAudit) -> FindingLog:
    return FindingLog(audit.settings.acknowledged, audit.settings.except_codes, until=audit.until)


def _note_captures(s3: Lister, audit: LocationAudit, prefix: str) -> None:
    """Captures of a prefix above the location, if the account may list their files: a machine may not."""
    with suppress(AccessDenied):
        for histories in group_keys(s3.version_batches(audit.location.bucket, prefix + STATES_PREFIX)):
            for history in histories:
                audit.captures.add(history[::-1])


def _judge_state_file(audit: LocationAudit, prefix: str, entries: Sequence[ObjectVersion]) -> None:
    audit.captures.add(entries)
    for finding in judge_state_file(entries):
        audit.state_logs[prefix].add(finding)
    name = parse_file_key(entries[0].key)
    if name is not None and not entries[0].is_marker:
        if len(audit.state_files) < MAX_STATE_FILES:
            audit.state_files.append(name)
        else:
            audit.more_state_files += 1


def _begun(s3: Lister, bucket: str, roots: Sequence[str]) -> Iterator[tuple[str, list[ObjectVersion] | None]]:
    """Each repository, with all its entries if they are one page: of many small ones, one request each.

    A page shows all directories at one time, so what is in it may be judged in any order.
    """
    if len(roots) == 1:  # most likely a large one
        yield roots[0], None
        return
    for begun in begin_listings(s3, bucket, roots):
        yield begun.prefix, list(begun.first) if begun.rest is None else None


def _phase_of(entries: Iterable[ObjectVersion], root: str, phase: str) -> Iterator[Histories]:
    """The keys of a phase among the entries of a repository."""
    if phase:
        return group_keys([[entry for entry in entries if entry.key.startswith(root + phase)]])
    return group_keys([[entry for entry in entries if entry.key == root + CONFIG_FILE]])


def _list_phase(s3: Lister, bucket: str, root: str, phase: str) -> Iterator[Histories]:
    """The keys of a phase in lists, in any order; several connections list ``data/`` if that is faster."""
    if phase:
        yield from list_in_parallel(s3, bucket, root + phase, group_keys, None if phase == PACKS else 1)
        return
    for histories in group_keys(s3.version_batches(bucket, root + CONFIG_FILE)):  # also of keys that begin so
        yield [history for history in histories if history[0].key == root + CONFIG_FILE]
