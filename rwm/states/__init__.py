"""States: what was current, capture, publishing, importing, sync, comparison with history, diff, export.

May import the shared modules, ``s3``, ``index``, ``statefile``.
Begin reading at ``current.py``: which version was current at a time; ``capture.py``: from a bucket to a state.
"""

from rwm.states.account import LocationSummary, summarize_account
from rwm.states.capture import capture_state
from rwm.states.comparison import ComparisonResult
from rwm.states.difference import change_kind, diff_states
from rwm.states.export import format_from_name, write_state
from rwm.states.importing import ImportSource, StateImporter
from rwm.states.missing import count_missing
from rwm.states.state_file import StateFile
from rwm.states.sync import (
    KeptListing,
    SyncResult,
    compare_with_history,
    list_state_files,
    new_state_files,
    sync_states,
)

__all__ = [
    "ComparisonResult",
    "ImportSource",
    "KeptListing",
    "LocationSummary",
    "StateFile",
    "StateImporter",
    "SyncResult",
    "capture_state",
    "change_kind",
    "compare_with_history",
    "count_missing",
    "diff_states",
    "format_from_name",
    "list_state_files",
    "new_state_files",
    "summarize_account",
    "sync_states",
    "write_state",
]
