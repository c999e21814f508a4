"""Create a file that must not exist yet: private, and whole or not at all."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from rwm import console
from rwm.errors import Refused, RwmError


@contextmanager
def open_new(path: Path) -> Iterator[IO[bytes]]:
    """Create the file, which must not exist, or use stdout for ``-``. An incomplete file is removed."""
    if str(path) == "-":
        with _write_errors("standard output", "the output is incomplete"), console.strict_output():
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        return
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise Refused(f"{path} already exists", hint="name another file, or remove it") from error
    except OSError as error:
        raise RwmError(f"{path}: {error.strerror}", hint="name a file in a directory that you may write to") from error
    try:
        with (
            _write_errors(str(path), "free some space, or name another place; the incomplete file was removed"),
            os.fdopen(descriptor, "wb") as file,
        ):
            yield file
    except BaseException:
        path.unlink(missing_ok=True)
        raise


@contextmanager
def _write_errors(target: str, hint: str) -> Iterator[None]:
    """Turn OSError into RwmError; a broken pipe is handled by the error boundary."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise RwmError(f"{target}: {error.strerror}", hint=hint) from error
