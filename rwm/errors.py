"""The error tree of RWM. Every class has the exit code of the programs.

::

    RwmError              1  error
    ├── UsageError        2  the command line or the configuration is wrong
    │   └── ConfigError
    ├── PartlyDone        3  some of the work was done, some was not
    ├── CheckFailed       4  a check found problems
    ├── Refused           5  refused for safety
    ├── LockHeld          7  another run holds the lock
    ├── StateNotFound     1  no recorded state, or more than one, matches
    ├── BadState          1  a state file is malformed, truncated, or has another id
    ├── IndexUnusable     1  the index cannot be read or written
    │   ├── IndexDamaged  1  its file is damaged; `rwm state sync` rebuilds it
    │   └── SpoolFull     1  no space for the spool of a state
    ├── CommandMissing    1  a program that RWM runs is not installed
    ├── MountError        1  mounting or unmounting failed
    └── S3Error           1  an S3 operation failed
        ├── AccessDenied  6  wrong keys, or a missing permission
        ├── Archived      1  the object is in an archive class and must be retrieved first
        ├── NotFound      1  404 only: bucket, key or version does not exist
        ├── NotSupported  1  the server does not have the operation (501, or 405 for a setting)
        ├── Unreachable   1  no usable answer after all retries: name, route, TLS, timeout, 5xx
        ├── BadResponse   1  an invalid answer: truncated, malformed, looping
        └── Cancelled     1  the caller cancelled the request

A message is one line: what failed, on which object, and why. ``hint`` says what to do.
"""

from __future__ import annotations


class RwmError(Exception):
    """Base class of all errors that RWM raises on purpose."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def why(self) -> str:
        """What follows the name of the object in a text: the message, without its subject where that is known."""
        return self.message


class UsageError(RwmError):
    """The command line is invalid."""

    exit_code = 2


class ConfigError(UsageError):
    """The configuration file, or a variable that overrides it, is missing, unreadable or invalid."""


class PartlyDone(RwmError):
    """Some of the work was done; the message says what was not."""

    exit_code = 3


class CheckFailed(RwmError):
    """A check was completed and found problems."""

    exit_code = 4


class Refused(RwmError):
    """The operation could lose data."""

    exit_code = 5


class LockHeld(RwmError):
    """Another run holds the lock."""

    exit_code = 7


class StateNotFound(RwmError):
    """No recorded state, or more than one, matches the given id, prefix or time."""


class BadState(RwmError):
    """A state file is malformed or truncated, or its content has another id."""


class IndexUnusable(RwmError):
    """The local index is damaged, read-only, full, or written by a newer version."""


class IndexDamaged(IndexUnusable):
    """The index file is not an intact SQLite database."""


class SpoolFull(IndexUnusable):
    """The temporary directory has no space for the spool of a state that is imported or captured."""


class CommandMissing(RwmError):
    """A program that RWM runs (restic, aws, fusermount3) is not installed."""


class MountError(RwmError):
    """Mounting or unmounting failed."""


class S3Error(RwmError):
    """An S3 operation failed. ``code`` is the error code of the server (``NoSuchBucket`` …), empty if it sent none.

    ``reason`` is the message without the operation and its subject; empty if not known.
    """

    code = reason = ""

    @property
    def why(self) -> str:
        """The reason, or the message."""
        return self.reason or self.message


class AccessDenied(S3Error):
    """The credentials are wrong, or the account lacks the permission (401 and 403)."""

    exit_code = 6


class Archived(S3Error):
    """The object is in an archive class of storage, and cannot be read before it is retrieved."""


class NotFound(S3Error):
    """404: the bucket, key or version does not exist. No other answer means absence."""


class NotSupported(S3Error):
    """The server does not have the operation; trying again later does not help."""


class Unreachable(S3Error):
    """There was no usable answer after all retries."""


class BadResponse(S3Error):
    """An invalid answer: truncated, malformed, repeated, or out of order."""


class Cancelled(S3Error):
    """The caller cancelled the request, because its answer is no longer needed."""
