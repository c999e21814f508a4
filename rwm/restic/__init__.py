"""restic: how it is run, and what the names in its repository prove about content.

May import the shared words, ``process``.
Begin reading at ``run.py``: environment, arguments, exit codes; ``content.py``: names that are hashes.
"""

from rwm.restic.content import expected_sha256
from rwm.restic.run import (
    OnLine,
    Result,
    backup_arguments,
    environment,
    exec_aws,
    exec_restic,
    forget_arguments,
    run_restic,
)

__all__ = [
    "OnLine",
    "Result",
    "backup_arguments",
    "environment",
    "exec_aws",
    "exec_restic",
    "expected_sha256",
    "forget_arguments",
    "run_restic",
]
