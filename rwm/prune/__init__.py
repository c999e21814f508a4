"""Prune: which versions no kept state needs, and how these are deleted.

May import the shared modules, ``s3``, ``index``, ``operations``, ``restic``, ``trust``, ``retention``, ``lock``.
Begin reading at ``plan.py``: the plan; ``key_plan.py`` decides about one key, ``location_plan.py`` collects what that
means for the states of one location, and ``evidence.py`` what stays for later audits. ``deletion_spool.py`` holds the
deletions in a file, ``execute.py`` deletes exactly these, ``run.py`` does it with a report. ``plan_check.py`` executes
a plan that was stored.
"""

from rwm.prune.delete_batches import delete_in_batches
from rwm.prune.deletion_lines import encode
from rwm.prune.deletion_spool import BLOCK, DeletionSpool, separate_keys
from rwm.prune.execute import PruneResult, execute_prune, prune_and_forget
from rwm.prune.key_plan import Deletion
from rwm.prune.lifecycle import CANNOT, lifecycle_rule
from rwm.prune.location_plan import LocationPlan
from rwm.prune.plan import PrunePlan, plan_prune
from rwm.prune.plan_check import plan_again
from rwm.prune.report_files import list_reports, removed
from rwm.prune.run import RecordedPrune, prune_and_record
from rwm.prune.stages import Stage
from rwm.prune.stored_plan import StoredPlan, read_plan, write_plan

__all__ = [
    "BLOCK",
    "CANNOT",
    "Deletion",
    "DeletionSpool",
    "LocationPlan",
    "PrunePlan",
    "PruneResult",
    "RecordedPrune",
    "Stage",
    "StoredPlan",
    "delete_in_batches",
    "encode",
    "execute_prune",
    "lifecycle_rule",
    "list_reports",
    "plan_again",
    "plan_prune",
    "prune_and_forget",
    "prune_and_record",
    "read_plan",
    "removed",
    "separate_keys",
    "write_plan",
]
