"""An audit as commands run it: the verdicts are recorded, and the last clean state is captured if that is wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from rwm import console
from rwm.console import App
from rwm.errors import AccessDenied, BadResponse, CheckFailed, IndexUnusable, NotFound, S3Error
from rwm.location import Location
from rwm.shell import quote
from rwm.times import iso

if TYPE_CHECKING:
    from rwm.index import Index
    from rwm.model import Acknowledgement, RecordedState
    from rwm.s3.listing import Lister
    from rwm.trust import AuditReport, AuditSettings, LocationAudit, Missing

_COMPARED = ("own", "verified", "unknown")
"""Trust of the states whose versions are looked for: a comparison with the history confirmed them, or found some gone.

Of those that were never compared `rwm state sync` says more.
"""


def run_audit(
    app: App,
    location: Location,
    judged: Acknowledgement | None = None,
    check: Callable[[AuditReport], None] = lambda report: None,
) -> AuditReport:
    """Audit, look for the versions of recorded states by the same listing, and record the verdicts.

    They are recorded where the index can be written. ``judged`` is an acknowledgement that is not recorded yet: it
    counts up to the second that is judged last. ``check`` is called before anything is recorded.
    """
    from rwm.s3.listing import RecordedLister

    recorded = app.readonly_index.recorded(location)
    confirmed = {each.info.id for each in recorded if each.trust in _COMPARED and location.covers(each.info.location)}
    if not confirmed:
        return judge_states(app, audit_versions(app, location, judged=judged), app.readonly_index, check=check)
    with closing(RecordedLister(app.s3)) as lister:
        found = audit_versions(app, location, lister, judged)
        missing = _count_missing(app, location, confirmed, lister)
    return judge_states(app, found, app.readonly_index, missing, check)


def _count_missing(app: App, location: Location, states: set[str], lister: Lister) -> dict[str, int]:
    """How many versions of states are gone. What cannot be compared is a warning: the audit itself needs no index."""
    from rwm.states import count_missing

    try:
        with console.show_progress(f"comparing with the history of {location}") as progress:
            return count_missing(lister, app.readonly_index, location, states, progress)
    except (BadResponse, AccessDenied) as error:
        console.warn(f"whether recorded states are whole is not known: {error.message}")
        return {}


def audit_versions(
    app: App, location: Location, lister: Lister | None = None, judged: Acknowledgement | None = None
) -> LocationAudit:
    """Audit the location's versions; ``lister`` as for :func:`audit_location`. Raises NotFound without a repository."""
    from rwm.trust import audit_location, can_judge_locks, is_admin

    samples_locks = can_judge_locks(app.s3, location)  # as the admin only
    samples_acls = samples_locks or is_admin(app.s3, location)
    settings = audit_settings(app, location)._replace(samples_locks=samples_locks, samples_acls=samples_acls)
    settings = settings if judged is None else settings.with_judged(judged)
    with console.show_progress(f"listing {location}") as progress:
        found = audit_location(app.s3, location, settings, progress, lister=lister)
    if judged is not None:
        found.settings = settings.with_judged(judged, found.until)
    if not found.repositories:
        raise NotFound(
            f"{location} has no restic repository, and never had one as far as its history reaches",
            hint="a repository has the file config beside keys/ and data/; `rwm storage list` shows the buckets",
        )
    if settings.samples_locks:
        _judge_locks(app, found)
    if settings.samples_acls:
        _judge_acls(app, found)
    return found


def audit_settings(app: App, location: Location) -> AuditSettings:
    """The settings of an audit: of the configuration, what is acknowledged, and what RWM itself did to the bucket."""
    from rwm.storage import own_changes
    from rwm.trust import make_settings

    index = app.readonly_index
    own = own_changes(app.s3, index, location)
    return make_settings(app.config, index.audits.acknowledged(location), own)


def judge_states(
    app: App,
    found: LocationAudit,
    index: Index,
    missing: Mapping[str, int] | None = None,
    check: Callable[[AuditReport], None] = lambda report: None,
) -> AuditReport:
    """Judge the states in an index by an audit, and record the verdicts where it can be written.

    ``missing`` are the numbers of versions that are gone, by the ids of states that lack any. ``check`` as for
    :func:`run_audit`.
    """
    from rwm.trust import make_report

    location = found.location
    recorded = index.recorded(location)
    explained = _explain(app, location, recorded, missing) if missing else {}
    report = make_report(found, recorded, index.born_later(location), explained)
    check(report)
    _record(app, report)
    return report


def _explain(
    app: App, location: Location, recorded: Sequence[RecordedState], missing: Mapping[str, int]
) -> dict[str, Missing]:
    """Who deleted the versions that are gone, as far as it is recorded."""
    from rwm.storage import own_prunes
    from rwm.trust import explain_missing

    reports = app.readonly_index.prunes.recorded(location)
    prunes = own_prunes(app.s3, app.readonly_index, location)
    return explain_missing([state.info for state in recorded], missing, reports, prunes)


def _judge_locks(app: App, audit: LocationAudit) -> None:
    from rwm.lock import LockRecords
    from rwm.storage import own_locks
    from rwm.trust import add_lock_findings

    bucket, index = audit.location.bucket, app.readonly_index
    try:
        records = LockRecords(index, bucket, own_locks(app.s3, bucket))
        add_lock_findings(app.s3, audit, records.of, is_recorded=index.retentions.has_any(bucket))
    except S3Error as error:
        console.warn(f"locks that RWM did not set are not looked for: {error.message}")


def _judge_acls(app: App, audit: LocationAudit) -> None:
    from rwm.trust import add_acl_findings

    try:
        add_acl_findings(app.s3, audit)
    except S3Error as error:
        console.warn(f"objects that somebody has published are not looked for: {error.message}")


def _record(app: App, report: AuditReport) -> None:
    if not report.states:
        return
    try:
        verdicts = {item.state.info.id: item.parts for item in report.states}
        app.index.audits.record(report.audit.location, verdicts)
        if incomplete := [item.state.info.id for item in report.states if item.missing]:
            app.index.ledger.set_trust(dict.fromkeys(incomplete, "unknown"), report.audit.now)
    except IndexUnusable as error:
        console.warn(f"the verdicts are not recorded: {error.message}")


def capture_quiet_second(
    app: App, report: AuditReport, second: int | None = None, lister: Lister | None = None
) -> AuditReport:
    """Capture the newest second at which the location was clean and quiet, and judge the state by the same audit.

    ``second`` is given where it is known already. ``lister`` has what the audit listed, if that was kept. Raises
    CheckFailed if there is none.
    """
    from rwm.states import capture_state

    location = report.audit.location
    second = report.audit.quiet_second() if second is None else second
    if second is None:
        raise none_is_clean(location)
    with console.show_progress(f"listing {location} as of {iso(second)}") as progress:
        capture_state(
            app.s3,
            app.index,
            location,
            at=second,
            origin="past",
            needs_file=False,
            concurrency=None if lister is None else 1,
            lister=lister,
            progress=progress,
            warn=console.warn,
        )
    return judge_states(app, report.audit, app.index)


def none_is_clean(location: Location) -> CheckFailed:
    """The error where no clean state is known."""
    return CheckFailed(
        f"{location}: no recorded state is clean, and no second is known at which the bucket was clean",
        hint=f"`rwm audit {quote(location)}` lists what was found; --at STATE chooses a state all the same, and --ack "
        "records that a finding is honest",
    )
