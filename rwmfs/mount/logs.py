"""Where a mount writes what happens to it: a private file, and on stderr while it is in the foreground."""

from __future__ import annotations

import logging
import os
import sys
from io import TextIOWrapper
from pathlib import Path

from rwm.console import escape
from rwm.errors import MountError
from rwm.private import private_directory

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class Formatter(logging.Formatter):
    """Names from a bucket can neither forge a line nor move the cursor: control characters are made visible."""

    def format(self, record: logging.LogRecord) -> str:
        line = escape(super().formatMessage(self._with_message(record)))
        if not record.exc_info:
            return line
        trace = self.formatException(record.exc_info)
        return "\n    ".join([line, *(escape(text) for text in trace.splitlines())])

    def _with_message(self, record: logging.LogRecord) -> logging.LogRecord:
        record.message = record.getMessage()
        record.asctime = self.formatTime(record)
        return record


def default_log_path(bucket: str) -> Path:
    """The log of mounts of a bucket, in a private directory of the user; raises ConfigError."""
    from platformdirs import user_log_path

    return private_directory(user_log_path("rwm")) / f"rwmfs-{bucket.replace('/', '_')}.log"


class PrivateFile(logging.FileHandler):
    """Appends to a file that only its owner may read, and never through a symbolic link."""

    def _open(self) -> TextIOWrapper:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self.baseFilename, flags, 0o600)
        return os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace")


def handlers(path: Path | None, *, stderr: bool) -> list[logging.Handler]:
    """What writes to a file and to stderr, either or both; raises MountError."""
    found: list[logging.Handler] = [logging.StreamHandler(sys.stderr)] if stderr else []
    if path is not None:
        try:
            found.append(PrivateFile(path))
        except OSError as error:
            raise MountError(f"log file {path}: {error.strerror}", hint="name another one with --log-file") from None
    for handler in found:
        handler.setFormatter(Formatter(FORMAT))
    return found


def start(path: Path | None, *, stderr: bool, verbose: bool) -> None:
    """Send the log of this process there, instead of where it went before; raises MountError."""
    level = logging.DEBUG if verbose else logging.WARNING
    logging.basicConfig(handlers=handlers(path, stderr=stderr), level=level, force=True)
    logging.getLogger("rwmfs").setLevel(logging.DEBUG if verbose else logging.INFO)
    for noisy in ("botocore", "boto3", "urllib3", "pyfuse3", "s3transfer"):
        logging.getLogger(noisy).setLevel(logging.INFO if verbose else logging.WARNING)
