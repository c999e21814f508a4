"""The parent of a supervised child: ends it when whoever asked for it is gone, even by kill -9.

Run as a program of its own (``python -I watchdog.py GRACE COMMAND...``) by :class:`rwm.process.daemon.Daemon`
only; it imports nothing of RWM. Its three files:

- stdin: a pipe whose other end only the supervisor holds. End of file means: stop the child. The kernel
  closes a pipe however a process ends, which no handler or ``atexit`` can promise.
- stdout: a pipe on which the child's pid is told, one line.
- stderr: the log, which becomes the child's stdout and stderr.

The child leads a process group of its own, and that group is killed when the child is gone. Should the
watchdog itself be killed, the kernel kills the child (PR_SET_PDEATHSIG: safe, as one thread does all).
It ends with the child's exit code, or 128 + the signal.
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


def become(argv: list[str], parent: int) -> NoReturn:
    """In the child: turn into ``argv``."""
    try:
        os.setpgid(0, 0)
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() == parent:  # else it died before the line above
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(2, 1)
            os.execvp(argv[0], argv)  # noqa: S606 - no shell is what we want
    except OSError as error:
        os.write(2, f"{argv[0]}: {error.strerror}\n".encode())
    os._exit(127)


def supervise(child: int, grace: float) -> int:
    """Wait for the child's end, or for end of file on stdin, which ends it. Returns its exit code."""
    ended = os.pidfd_open(child)
    ready, _, _ = select.select([0, ended], [], [])
    if ended not in ready:
        signal.pidfd_send_signal(ended, signal.SIGTERM)
        select.select([ended], [], [], grace)
    # The group lives as long as the child is not reaped, so this cannot meet a stranger.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def main() -> int:
    """Start the command line's child and see it to its end."""
    grace, argv = float(sys.argv[1]), sys.argv[2:]
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        become(argv, parent)
    with contextlib.suppress(OSError):  # the child may have done it already, or be gone
        os.setpgid(child, child)
    with contextlib.suppress(BrokenPipeError):
        os.write(1, f"{child}\n".encode())
    os.close(1)
    return supervise(child, grace)


if __name__ == "__main__":
    sys.exit(main())
