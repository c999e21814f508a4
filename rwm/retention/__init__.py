"""Retention: which versions no kept state needs, and how they are deleted.

May import the shared words, ``s3``, ``index``, ``trust``.
Begin reading at ``prune.py``: a plan is a value, and executing it deletes exactly that.
"""

from rwm.retention.prune import PrunePlan, PruneResult, kept_states, plan_prune, prune_and_forget

__all__ = ["PrunePlan", "PruneResult", "kept_states", "plan_prune", "prune_and_forget"]
