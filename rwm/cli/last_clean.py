"""``last-clean`` where a command of ``rwm`` takes a STATE: the recorded one, or one captured from history."""

from __future__ import annotations

from rwm import console
from rwm.cli.audit_run import capture_quiet_second, run_audit
from rwm.console import App
from rwm.errors import StateNotFound
from rwm.location import Location
from rwm.model import LAST_CLEAN, StateInfo
from rwm.times import iso


def resolve_state(app: App, text: str, location: Location | None) -> StateInfo:
    """:meth:`rwm.index.Index.resolve`, and a last clean state that is not recorded is captured.

    A note says as of which audit it is clean. Raises CheckFailed if no clean state is known.
    """
    if text != LAST_CLEAN or location is None:
        return app.readonly_index.resolve(text, location)
    try:
        found = app.readonly_index.last_clean(location)
    except StateNotFound as error:
        console.print_note(f"{error.message}: auditing {location}")
        report = run_audit(app, location)
        if report.last_clean is None:
            capture_quiet_second(app, report)
        app.close_index()  # it may not have existed before
        found = app.readonly_index.last_clean(location)
    info = found.info
    console.note_last_clean(info.id, iso(info.captured_at), iso(found.audited_at or 0))
    return info
