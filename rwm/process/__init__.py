"""Children: the only part of RWM that starts programs.

Output is text, decoded as UTF-8 with replacement characters, because what a program prints is for people and
must never stop a backup. Secrets go to a child by its environment, never by its arguments.
"""

from rwm.process.daemon import Daemon, spawn
from rwm.process.run import Completed, find, replace, run, shell, stream

__all__ = ["Completed", "Daemon", "find", "replace", "run", "shell", "spawn", "stream"]
