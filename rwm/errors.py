"""The error tree of RWM: every class carries the exit code that the programs end with.

::

    RwmError              1  error
    ├── UsageError        2  the call or the configuration is wrong
    │   └── ConfigError
    ├── PartlyDone        3  some of the work was done, some was not
    ├── CheckFailed       4  a check found problems
    ├── Refused           5  refused for safety
    ├── LockHeld          7  another run holds the lock
    ├── StateNotFound     1  no recorded state, or more than one, answers to that name
    ├── BadState          1  a state file is not one, is cut off, or is not what its id says
    ├── IndexUnusable     1  the index cannot be read or written
    │   ├── IndexDamaged  1  its file is damaged; `rwm state sync` makes it anew
    │   └── SpoolFull     1  there is no room for a state on its way into it
    ├── CommandMissing    1  a program that RWM runs is not installed
    ├── MountError        1  a mount cannot be made or ended
    └── S3Error           1  the server said no, said nonsense, or said nothing
        ├── AccessDenied  6  wrong keys, or a right that the account does not have
        ├── NotFound      1  404 and nothing else: bucket, key or version is absent
        ├── Unreachable   1  no usable answer: name, route, TLS, time-out, 5xx after all retries
        ├── BadResponse   1  an answer that cannot be trusted: cut off, malformed, looping
        └── Cancelled     1  nobody wanted the answer any more

A message is one line that says what failed, on which thing, and why; ``hint`` says what to do about it.
"""

from __future__ import annotations


class RwmError(Exception):
    """Base of everything that RWM raises on purpose."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(RwmError):
    """The command line asks for something that makes no sense."""

    exit_code = 2


class ConfigError(UsageError):
    """The configuration file (or a variable that overrides it) is missing, unreadable or wrong."""


class PartlyDone(RwmError):
    """Some of the work was done and stays done; the message says what was not."""

    exit_code = 3


class CheckFailed(RwmError):
    """A check ran to its end and found problems."""

    exit_code = 4


class Refused(RwmError):
    """Doing it could lose data."""

    exit_code = 5


class LockHeld(RwmError):
    """Another run holds the lock."""

    exit_code = 7


class StateNotFound(RwmError):
    """No recorded state, or more than one, answers to the given id, prefix or time."""


class BadState(RwmError):
    """A state file that is none, is cut off, or does not hold what its id says."""


class IndexUnusable(RwmError):
    """The local index is damaged, read-only, full, or written by a newer version."""


class IndexDamaged(IndexUnusable):
    """The index file is not a whole SQLite database any more."""


class SpoolFull(IndexUnusable):
    """The temporary directory has no room for a state that is read or captured."""


class CommandMissing(RwmError):
    """A program that RWM runs (restic, aws, fusermount3) is not installed."""


class MountError(RwmError):
    """A mount cannot be made or ended."""


class S3Error(RwmError):
    """An S3 operation failed. ``code`` is the server's error code (``NoSuchBucket`` …), where it sent one."""

    code = ""


class AccessDenied(S3Error):
    """The server refused the credentials, or the account lacks the right (401 and 403)."""

    exit_code = 6


class NotFound(S3Error):
    """404: the bucket, the key or the version does not exist. No other answer means absence."""


class Unreachable(S3Error):
    """No usable answer came, after all retries."""


class BadResponse(S3Error):
    """An answer that cannot be trusted: cut off, malformed, repeated, or going backwards."""


class Cancelled(S3Error):
    """A request was given up, because nobody wanted its answer any more."""
