"""States: the rule of what is current, capture, publishing, importing, sync, comparison with history, diff, export.

May import the shared words, ``s3``, ``index``, ``statefile``.
Begin reading at ``current.py``: the rule; ``capture.py``: from a bucket to a state.
"""

from rwm.states.capture import capture_state
from rwm.states.comparison import Judged
from rwm.states.difference import diff_states, kind_of
from rwm.states.export import export_form, write_state
from rwm.states.importing import Source, StateImporter
from rwm.states.sync import SyncResult, judge, new_files, state_files, sync_states

__all__ = [
    "Judged",
    "Source",
    "StateImporter",
    "SyncResult",
    "capture_state",
    "diff_states",
    "export_form",
    "judge",
    "kind_of",
    "new_files",
    "state_files",
    "sync_states",
    "write_state",
]
