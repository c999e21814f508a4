"""Verify states: by a listing, by the SHA-256 of their content, and with ``restic check`` on a mount.

May import the shared modules, ``s3``, ``index``, ``restic``, ``process``.
Begin reading at ``report.py``: what a verification says; ``structure.py``: a state against a listing; ``content.py``:
reading content; ``rules.py``: what has to be read; ``bisection.py``: which states to check.
"""

from rwm.verify.bisection import Bisection, CheckedState, Outcome, bisect_states
from rwm.verify.content import CONNECTIONS, ContentRun, plan_content, read_content, report_content
from rwm.verify.mounted import RepositoryCheck, check_with_restic, judge_checks, report_checks, server_answers
from rwm.verify.report import Kind, Problem, VerifiedPart, VerifyReport
from rwm.verify.rules import draw_sample, parse_percent
from rwm.verify.snapshots import ReadSnapshots, is_snapshot_name, read_snapshots, require_password
from rwm.verify.structure import list_state, verify_structure
from rwm.verify.verifier import describe_verifier

__all__ = [
    "CONNECTIONS",
    "Bisection",
    "CheckedState",
    "ContentRun",
    "Kind",
    "Outcome",
    "Problem",
    "ReadSnapshots",
    "RepositoryCheck",
    "VerifiedPart",
    "VerifyReport",
    "bisect_states",
    "check_with_restic",
    "describe_verifier",
    "draw_sample",
    "is_snapshot_name",
    "judge_checks",
    "list_state",
    "parse_percent",
    "plan_content",
    "read_content",
    "read_snapshots",
    "report_checks",
    "report_content",
    "require_password",
    "server_answers",
    "verify_structure",
]
