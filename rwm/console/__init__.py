"""What the command lines of both programs share: common options, output, progress, error boundary, shell completion.

May import the shared modules; ``s3`` and ``index`` only to open them for a command.
Begin reading at ``app.py``: what a command works with; ``error_boundary.py``: how a run ends.
"""

from rwm.console.app import App, current_app, pass_app
from rwm.console.archived import (
    classes_from_json,
    classes_json,
    describe_archived,
    describe_listing,
    restore_command,
    warn_if_archived,
)
from rwm.console.error_boundary import exit_code_of_output, run_program
from rwm.console.formatting import (
    escape,
    format_age,
    format_size,
    parse_size,
    recorded_state_json,
    shorten,
    state_json,
    verdict_json,
)
from rwm.console.hints import Invocation, complete_command, complete_hints
from rwm.console.options import NEW_DIRECTORY, common_options
from rwm.console.output import (
    confirm,
    current_invocation,
    print_command,
    print_json,
    print_lines,
    print_note,
    print_table,
    print_text,
    warn,
)
from rwm.console.progress import show_progress
from rwm.console.shell_completion import LOCATION, STATE, completion
from rwm.console.standard_streams import open_standard_streams, strict_output
from rwm.console.stoppable import interruptible
from rwm.console.trust_warning import note_last_clean, warn_if_suspect, warn_if_untrusted
from rwm.console.verified import describe_verified, percent, verification_json
from rwm.phrases import format_count

__all__ = [
    "LOCATION",
    "NEW_DIRECTORY",
    "STATE",
    "App",
    "Invocation",
    "classes_from_json",
    "classes_json",
    "common_options",
    "complete_command",
    "complete_hints",
    "completion",
    "confirm",
    "current_app",
    "current_invocation",
    "describe_archived",
    "describe_listing",
    "describe_verified",
    "escape",
    "exit_code_of_output",
    "format_age",
    "format_count",
    "format_size",
    "interruptible",
    "note_last_clean",
    "open_standard_streams",
    "parse_size",
    "pass_app",
    "percent",
    "print_command",
    "print_json",
    "print_lines",
    "print_note",
    "print_table",
    "print_text",
    "recorded_state_json",
    "restore_command",
    "run_program",
    "shorten",
    "show_progress",
    "state_json",
    "strict_output",
    "verdict_json",
    "verification_json",
    "warn",
    "warn_if_archived",
    "warn_if_suspect",
    "warn_if_untrusted",
]
