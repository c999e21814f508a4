"""Roll a live bucket back to a state, and undo it: nothing is destroyed but delete markers, which can be put again.

May import the shared modules, ``s3``, ``index``, ``operations``, ``statefile``, ``trust``.
Begin reading at ``key_plan.py``: what one key needs; ``plan.py``: all keys, from one listing; ``execute.py``: the
requests; ``afterwards.py``: what came of them; ``undo.py``: the way back.
"""

from rwm.rollback.afterwards import Comparison, compare_afterwards
from rwm.rollback.exclusive import hold_bucket, hold_target
from rwm.rollback.execute import THREADS, RollbackResult, execute_plan
from rwm.rollback.interrupted import complete_interrupted
from rwm.rollback.key_plan import KeyPlan, Mode, Problem, plan_key
from rwm.rollback.plan import RollbackPlan, plan_rollback
from rwm.rollback.sorted_listing import Watch, unwatched
from rwm.rollback.undo import check_undo_file, open_undo_file, plan_undo, undo_path, write_undo_file

__all__ = [
    "THREADS",
    "Comparison",
    "KeyPlan",
    "Mode",
    "Problem",
    "RollbackPlan",
    "RollbackResult",
    "Watch",
    "check_undo_file",
    "compare_afterwards",
    "complete_interrupted",
    "execute_plan",
    "hold_bucket",
    "hold_target",
    "open_undo_file",
    "plan_key",
    "plan_rollback",
    "plan_undo",
    "undo_path",
    "unwatched",
    "write_undo_file",
]
