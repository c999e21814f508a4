"""The local index of states: the only owner of sqlite3 and sqlite_utils.

May import the shared modules, ``statefile``.
Begin reading at ``store.py``: the interface for other rooms; ``schema.py``: the tables of states.
"""

from rwm.index.batches import ObservedEntries
from rwm.index.capture_spool import CaptureSpool
from rwm.index.connection import move_aside
from rwm.index.find import missing_index, states_by_location
from rwm.index.freezes import Freezes
from rwm.index.import_spool import ImportSpool
from rwm.index.last_clean import find_last_clean
from rwm.index.ledger import RECORDED_AS
from rwm.index.listed_versions import ListedVersion, ListedVersions
from rwm.index.operations import Operations
from rwm.index.pending import PendingState
from rwm.index.references import References
from rwm.index.store import Index
from rwm.index.tree import IndexTree

__all__ = [
    "RECORDED_AS",
    "CaptureSpool",
    "Freezes",
    "ImportSpool",
    "Index",
    "IndexTree",
    "ListedVersion",
    "ListedVersions",
    "ObservedEntries",
    "Operations",
    "PendingState",
    "References",
    "find_last_clean",
    "missing_index",
    "move_aside",
    "states_by_location",
]
