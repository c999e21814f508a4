"""Recover: choose the state to recover from, say what is not in it, mount it.

May import the shared modules, ``index``, ``process``, ``trust``.
Begin reading at ``choice.py``: which state, and why.
"""

from rwm.recover.choice import Choice, choose_state
from rwm.recover.commands import repositories_of, restic_commands
from rwm.recover.mount import check_mountpoint, mount_state

__all__ = [
    "Choice",
    "check_mountpoint",
    "choose_state",
    "mount_state",
    "repositories_of",
    "restic_commands",
]
