"""A state that is captured as a part of another command."""

from __future__ import annotations

from rwm import console
from rwm.console import App
from rwm.errors import RwmError
from rwm.location import Location
from rwm.model import StateInfo


def capture_now(app: App, location: Location) -> StateInfo:
    """Capture the state of a location as it is now, with progress and warnings."""
    from rwm.states import capture_state

    with console.show_progress(f"listing {location}") as progress:
        return capture_state(app.s3, app.index, location, progress=progress, warn=console.warn)


def try_capture(app: App, location: Location) -> tuple[StateInfo | None, RwmError | None]:
    """The state, or why it is not captured: that must not hide what was done before."""
    try:
        return capture_now(app, location), None
    except RwmError as error:
        return None, error
