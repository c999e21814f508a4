"""Retention: which versions no kept state needs, and how they are deleted.

May import the shared words, ``s3``, ``index``, ``trust``.
Begin reading at ``prune.py``: a plan is a value, and executing it deletes exactly that.
"""

from rwm.retention.prune import PrunePlan, PruneResult, plan_prune, prune_and_forget, select_kept_states

__all__ = ["PrunePlan", "PruneResult", "plan_prune", "prune_and_forget", "select_kept_states"]
