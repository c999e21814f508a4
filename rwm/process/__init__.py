"""Children: the only part of RWM that starts programs.

Output is text, decoded as UTF-8 with replacement characters, because what a program prints is for people and
must never stop a backup. Secrets go to a child by its environment, never by its arguments.
"""

from rwm.process.children import Completed, find, replace, run, shell, stream
from rwm.process.daemon import Daemon, spawn

__all__ = ["Completed", "Daemon", "find", "replace", "run", "shell", "spawn", "stream"]
