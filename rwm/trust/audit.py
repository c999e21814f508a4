"""The audit of a location: one version listing, repository by repository. No content is read, no index is needed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress

from rwm.errors import AccessDenied
from rwm.layout import CONFIG_FILE, STATES_PREFIX
from rwm.location import Location
from rwm.model import ObjectVersion
from rwm.s3 import S3, read_clock, wait_for_next_second
from rwm.s3.listing import Discovered, Lister, begin_listings, discover, list_in_parallel
from rwm.statefile import parse_file_key
from rwm.times import DAY, SECOND
from rwm.trust.acl_rules import is_in_parts
from rwm.trust.finding import FindingLog
from rwm.trust.keep_policy import KeepPolicy
from rwm.trust.key_grouping import group_keys
from rwm.trust.location_audit import MAX_STATE_FILES, AuditSettings, LocationAudit
from rwm.trust.repository_audit import PACKS, PHASES, RepositoryAudit
from rwm.trust.roots import enclosing_prefixes
from rwm.trust.state_file_rules import judge_state_file
from rwm.trust.unknown_key_rules import judge_unknown_keys
from rwm.trust.version_sample import VersionSample

Progress = Callable[[int], None]
Histories = Sequence[Sequence[ObjectVersion]]
"""Some keys, each with its entries, newest first."""


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
