"""The parent of a supervised child: stops it when the supervisor has ended, even by kill -9.

Run as a program of its own (``python -I watchdog.py GRACE COMMAND...``) by :class:`rwm.process.daemon.Daemon`
only; it imports nothing of RWM. Its three files:

- stdin: a pipe whose other end only the supervisor holds. End of file means: stop the child. The kernel
  closes a pipe however a process ends, which handlers and ``atexit`` cannot guarantee.
- stdout: a pipe to which the pid of the child is written, one line.
- stderr: the log, which becomes stdout and stderr of the child.

The child leads its own process group, which is killed after the child has ended. If the watchdog itself is
killed, the kernel kills the child (PR_SET_PDEATHSIG, which is safe because the watchdog has only one thread).
The exit code is that of the child, or 128 + the signal.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
from typing import NoReturn

PR_SET_PDEATHSIG = 1


def exec_child(argv: list[str], parent: int) -> NoReturn:
    """In the forked child: exec ``argv``."""
    try:
        os.setpgid(0, 0)
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() == parent:  # else the watchdog ended before prctl
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(2, 1)
            os.execvp(argv[0], argv)  # noqa: S606 - no shell is intended
    except OSError as error:
        os.write(2, f"{argv[0]}: {error.strerror}\n".encode())
    os._exit(127)


def supervise(child: int, grace: float) -> int:
    """Wait for the child to end; stop it at end of file on stdin. Returns its exit code."""
    ended = os.pidfd_open(child)
    ready, _, _ = select.select([0, ended], [], [])
    if ended not in ready:
        signal.pidfd_send_signal(ended, signal.SIGTERM)
        select.select([ended], [], [], grace)
    # The group id cannot be reused before the child is reaped, so this kills no other process.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def main() -> int:
    """Start the program of the command line, supervise it and return its exit code."""
    grace, argv = float(sys.argv[1]), sys.argv[2:]
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        exec_child(argv, parent)
    with contextlib.suppress(OSError):  # the child may have done it already, or have ended
        os.setpgid(child, child)
    with contextlib.suppress(BrokenPipeError):
        os.write(1, f"{child}\n".encode())
    os.close(1)
    return supervise(child, grace)


if __name__ == "__main__":
    sys.exit(main())
