"""Retention: which versions no kept state needs, and how they are deleted.

May import the shared modules, ``s3``, ``index``, ``restic``, ``trust``.
Begin reading at ``selection.py``: which states are kept, and ``needs.py``: until when they need a version.
``plan.py``: the plan of a prune is a value; ``execute.py`` deletes exactly what it names. ``key_plan.py`` decides
about one key, ``location_plan.py`` collects what that means for the states of one location; what the audit says
against them is in ``audit_judgement.py``, and what stays for later audits in ``evidence.py``.
"""

from rwm.retention.execute import PruneResult, execute_prune, prune_and_forget
from rwm.retention.location_plan import LocationPlan
from rwm.retention.plan import PrunePlan, plan_prune
from rwm.retention.selection import recorded_clean_states, select_kept_states
from rwm.retention.simulation import Simulation, simulate

__all__ = [
    "LocationPlan",
    "PrunePlan",
    "PruneResult",
    "Simulation",
    "execute_prune",
    "plan_prune",
    "prune_and_forget",
    "recorded_clean_states",
    "select_kept_states",
    "simulate",
]
