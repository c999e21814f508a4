"""The log of a mount: a private file, and stderr in the foreground."""

from __future__ import annotations

import logging
import os
import sys
from hashlib import sha256
from io import TextIOWrapper
from pathlib import Path

from rwm.console import escape
from rwm.errors import MountError
from rwm.private import make_private_directory

MAX_NAME = 200
"""Bytes of a location in the name of its log file."""

HINT = "choose another file with --log-file or log_path"
FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class EscapingFormatter(logging.Formatter):
    """Escapes control characters, so that names from a bucket can neither forge a line nor move the cursor."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record; each line of a traceback is indented below it."""
        line = escape(super().formatMessage(self._with_message(record)))
        if not record.exc_info:
            return line
        trace = self.formatException(record.exc_info)
        return "\n    ".join([line, *(escape(text) for text in trace.splitlines())])

    def _with_message(self, record: logging.LogRecord) -> logging.LogRecord:
        record.message = record.getMessage()
        record.asctime = self.formatTime(record)
        return record


def prepare_log_path(configured: Path | None, location: str) -> Path:
    """The log file for mounts of a location: the configured one, or one in a private directory of the user.

    Makes the missing directories above it. Raises ConfigError.
    """
    if configured is not None:
        if not configured.parent.exists():
            make_private_directory(configured.parent, hint=HINT)
        return configured
    from platformdirs import user_log_path

    return make_private_directory(user_log_path("rwm"), hint=HINT) / f"rwmfs-{_short_name(location)}.log"


def _short_name(location: str) -> str:
    """The location as a part of a file name; the beginning and a hash of one that is too long."""
    name = location.replace("/", "_")
    if len(name.encode()) <= MAX_NAME:
        return name
    return f"{name.encode()[:MAX_NAME].decode(errors='ignore')}-{sha256(name.encode()).hexdigest()[:16]}"


class PrivateFileHandler(logging.FileHandler):
    """Appends to a file of mode 0600; never follows a symbolic link."""

    def _open(self) -> TextIOWrapper:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self.baseFilename, flags, 0o600)
        return os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace")


def handlers(path: Path | None, *, stderr: bool) -> list[logging.Handler]:
    """Log handlers for a file, for stderr, or both; raises MountError."""
    found: list[logging.Handler] = [logging.StreamHandler(sys.stderr)] if stderr else []
    if path is not None:
        try:
            found.append(PrivateFileHandler(path))
        except OSError as error:
            raise MountError(f"log file {path}: {error.strerror}", hint=HINT) from None
    for handler in found:
        handler.setFormatter(EscapingFormatter(FORMAT))
    return found


def configure(path: Path | None, *, stderr: bool, verbose: bool) -> None:
    """Direct the log of this process to a file, to stderr, or both; raises MountError."""
    level = logging.DEBUG if verbose else logging.WARNING
    logging.basicConfig(handlers=handlers(path, stderr=stderr), level=level, force=True)
    logging.getLogger("rwmfs").setLevel(logging.DEBUG if verbose else logging.INFO)
    for noisy in ("botocore", "boto3", "urllib3", "pyfuse3", "s3transfer"):
        logging.getLogger(noisy).setLevel(logging.INFO if verbose else logging.WARNING)
