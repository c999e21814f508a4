"""Backups: the configured entries with their hooks, retention, the state and the audit after them, the run lock.

May import the shared modules, ``s3``, ``index``, ``process``, ``restic``, ``storage``, ``states``, ``trust``.
Begin reading at ``run.py``: one run from prerun to the state.
"""

from rwm.backup.quick_audit import QuickAudit
from rwm.backup.report import Report
from rwm.backup.run import run_backups
from rwm.backup.run_lock import hold_lock
from rwm.backup.selection import select_backups

__all__ = ["QuickAudit", "Report", "hold_lock", "run_backups", "select_backups"]
