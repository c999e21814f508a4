"""What every command line shares: common options, output, progress, the error boundary, shell completion.

May import the shared words; ``s3`` and ``index`` only to open them for a command.
Begin reading at ``options.py``: what a command works with; ``boundary.py``: how it ends.
"""

from rwm.console.boundary import open_standard_streams, run_program
from rwm.console.options import App, common, current_app, pass_app
from rwm.console.output import (
    SHORT_ID,
    confirm,
    count,
    document,
    escape,
    note,
    progress,
    recorded_json,
    size,
    state_json,
    table,
    warn,
)
from rwm.console.shell_completion import BUCKET, STATE, completion
from rwm.console.trust_warning import warn_of_trust

__all__ = [
    "BUCKET",
    "SHORT_ID",
    "STATE",
    "App",
    "common",
    "completion",
    "confirm",
    "count",
    "current_app",
    "document",
    "escape",
    "note",
    "open_standard_streams",
    "pass_app",
    "progress",
    "recorded_json",
    "run_program",
    "size",
    "state_json",
    "table",
    "warn",
    "warn_of_trust",
]
