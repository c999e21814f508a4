"""The local index of states: the only part of RWM that imports sqlite3 or sqlite_utils."""

from rwm.index.arrival import Arrival
from rwm.index.connection import set_aside
from rwm.index.incoming import Incoming
from rwm.index.ledger import RECORDED_AS
from rwm.index.store import Index
from rwm.index.tree import IndexTree

__all__ = ["RECORDED_AS", "Arrival", "Incoming", "Index", "IndexTree", "set_aside"]
