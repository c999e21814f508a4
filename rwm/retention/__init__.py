"""Retention: which states are kept, which versions none of them needs, and how these are deleted or those locked.

May import the shared modules, ``s3``, ``index``, ``operations``, ``restic``, ``statefile``, ``trust``.
Begin reading at ``selection.py``: which states are kept, and ``needs.py``: until when they need a version.
``plan.py``: the plan of a prune; ``deletion_spool.py`` holds its deletions in a file, ``execute.py`` deletes exactly
these, ``delete_batches.py`` sends the requests. ``key_plan.py`` decides about one key, ``location_plan.py`` collects
what that means for the states of one location; what the audit says against them is in ``audit_judgement.py``, and what
stays for later audits in ``evidence.py``. ``lock_rules.py``, ``lock_plan.py`` and ``lock_execute.py`` do the same for
locks, ``own_files.py`` for RWM's own files.
"""

from rwm.retention.delete_batches import delete_in_batches
from rwm.retention.deletion_spool import BLOCK, DeletionSpool, Stage, encode, separate_keys
from rwm.retention.execute import PruneResult, execute_prune, prune_and_forget
from rwm.retention.key_plan import Deletion
from rwm.retention.lifecycle import CANNOT, lifecycle_rule
from rwm.retention.location_plan import LocationPlan
from rwm.retention.lock_execute import LockFailure, LockResult, set_locks
from rwm.retention.lock_plan import LockCost, LockPlan, plan_locks, plan_state_lock
from rwm.retention.lock_records import LockRecords
from rwm.retention.lock_rules import LockTiming, describe_mode, find_gap
from rwm.retention.own_files import plan_own_locks
from rwm.retention.plan import PrunePlan, plan_prune
from rwm.retention.plan_check import plan_again
from rwm.retention.recorded_lock import lock_and_record
from rwm.retention.recorded_prune import RecordedPrune, prune_and_record
from rwm.retention.report_files import list_reports, removed
from rwm.retention.selection import judge_by, recorded_clean_states, select_kept_states
from rwm.retention.simulation import Simulation, simulate
from rwm.retention.stored_plan import StoredPlan, read_plan, write_plan

__all__ = [
    "BLOCK",
    "CANNOT",
    "Deletion",
    "DeletionSpool",
    "LocationPlan",
    "LockCost",
    "LockFailure",
    "LockPlan",
    "LockRecords",
    "LockResult",
    "LockTiming",
    "PrunePlan",
    "PruneResult",
    "RecordedPrune",
    "Simulation",
    "Stage",
    "StoredPlan",
    "delete_in_batches",
    "describe_mode",
    "encode",
    "execute_prune",
    "find_gap",
    "judge_by",
    "lifecycle_rule",
    "list_reports",
    "lock_and_record",
    "plan_again",
    "plan_locks",
    "plan_own_locks",
    "plan_prune",
    "plan_state_lock",
    "prune_and_forget",
    "prune_and_record",
    "read_plan",
    "recorded_clean_states",
    "removed",
    "select_kept_states",
    "separate_keys",
    "set_locks",
    "simulate",
    "write_plan",
]
