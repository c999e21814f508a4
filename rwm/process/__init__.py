"""Child processes: the only owner of subprocess.

May import the shared modules.
Begin reading at ``commands.py``: children that run to their end; ``daemon.py``: children that run until stopped.

Output is decoded as UTF-8 with replacement characters: it is for people, and bad text must not stop a backup.
Secrets are passed in the environment, never as arguments.
"""

from rwm.process.commands import Completed, exec_program, run, run_shell, stream
from rwm.process.daemon import Daemon, spawn
from rwm.process.memory_file import inherited_file
from rwm.process.programs import find_beside_python, find_program
from rwm.process.signals import defer_signals

__all__ = [
    "Completed",
    "Daemon",
    "defer_signals",
    "exec_program",
    "find_beside_python",
    "find_program",
    "inherited_file",
    "run",
    "run_shell",
    "spawn",
    "stream",
]
