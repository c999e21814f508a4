"""restic: how it is run, and what the names in its repository prove about content.

May import the shared modules, ``process``; ``s3`` only for the credentials of a profile or role.
Begin reading at ``run.py``: arguments, exit codes; ``environment.py``: account, repository, password; ``content.py``:
names that are hashes.
"""

from rwm.restic.content import expected_sha256, find_fault, is_pack
from rwm.restic.environment import local_environment, password_length, restic_environment
from rwm.restic.failure import opens_no_key
from rwm.restic.run import (
    OnLine,
    Result,
    backup_arguments,
    exec_aws,
    exec_restic,
    execute_restic,
    forget_arguments,
    read_restic,
    run_backup,
    run_restic,
)
from rwm.restic.snapshots import Snapshot, parse_snapshots

__all__ = [
    "OnLine",
    "Result",
    "Snapshot",
    "backup_arguments",
    "exec_aws",
    "exec_restic",
    "execute_restic",
    "expected_sha256",
    "find_fault",
    "forget_arguments",
    "is_pack",
    "local_environment",
    "opens_no_key",
    "parse_snapshots",
    "password_length",
    "read_restic",
    "restic_environment",
    "run_backup",
    "run_restic",
]
