"""Lock: Object Lock on the versions that kept states need, for as long as they need them.

May import the shared modules, ``s3``, ``index``, ``operations``, ``statefile``, ``trust``, ``retention``.
Begin reading at ``rules.py``: until when a version is locked; ``plan.py``: which versions; ``execute.py``: the
requests; ``run.py``: all of it, with a record. ``own_files.py`` does the same for RWM's own files. ``records.py`` says
what RWM knows of the lock of a version.
"""

from rwm.lock.execute import LockFailure, LockResult, set_locks
from rwm.lock.own_files import plan_own_locks
from rwm.lock.plan import LockCost, LockPlan, plan_locks, plan_state_lock
from rwm.lock.records import LockRecords
from rwm.lock.rules import LockTiming, describe_mode, find_gap
from rwm.lock.run import lock_and_record

__all__ = [
    "LockCost",
    "LockFailure",
    "LockPlan",
    "LockRecords",
    "LockResult",
    "LockTiming",
    "describe_mode",
    "find_gap",
    "lock_and_record",
    "plan_locks",
    "plan_own_locks",
    "plan_state_lock",
    "set_locks",
]
