"""Retention: which versions no kept state needs, and how they are deleted.

May import the shared modules, ``s3``, ``index``, ``restic``, ``trust``.
Begin reading at ``plan.py``: a plan is a value; ``execute.py`` deletes exactly what it names. ``key_plan.py`` decides
about one key, ``location_plan.py`` collects what that means for the states of one location; what the audit says
against them is in ``audit_judgement.py``, and what stays for later audits in ``evidence.py``.
"""

from rwm.retention.execute import PruneResult, execute_prune, prune_and_forget
from rwm.retention.location_plan import LocationPlan
from rwm.retention.plan import PrunePlan, plan_prune
from rwm.retention.selection import select_kept_states

__all__ = [
    "LocationPlan",
    "PrunePlan",
    "PruneResult",
    "execute_prune",
    "plan_prune",
    "prune_and_forget",
    "select_kept_states",
]
