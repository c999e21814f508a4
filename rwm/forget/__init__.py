"""Forget: which snapshots the retention keeps by the server's time, and their removal with restic by the admin.

May import the shared modules, ``s3``, ``index``, ``restic``, ``trust``, ``states``.
Begin reading at ``plan.py``: which snapshots of a repository are removed; ``choice.py`` decides, ``policy.py`` reads
the rules, ``execute.py`` removes exactly what the plan names.
"""

from rwm.forget.choice import Group, JudgedSnapshot
from rwm.forget.execute import ForgetResult, execute_forget
from rwm.forget.plan import ForgetPlan, choose_repository, plan_forget
from rwm.forget.policy import ForgetPolicy, read_policy

__all__ = [
    "ForgetPlan",
    "ForgetPolicy",
    "ForgetResult",
    "Group",
    "JudgedSnapshot",
    "choose_repository",
    "execute_forget",
    "plan_forget",
    "read_policy",
]
