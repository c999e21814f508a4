"""Backups: the configured profiles with their hooks, retention, the state after it, and the lock of a run.

May import the shared words, ``s3``, ``index``, ``process``, ``restic``, ``storage``, ``states``.
Begin reading at ``service.py``: one run from prerun to the state.
"""

from rwm.backup.run_lock import held
from rwm.backup.service import Report, run_backups, selected

__all__ = ["Report", "held", "run_backups", "selected"]
