"""Writing the page: atomically, for the user alone, and never over a file that is not an earlier page."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from rwm.errors import Refused, RwmError

MARK = "<!doctype html>\n<!-- rwm audit -->\n"
"""How a page begins: only a file that begins so is replaced."""

_HINT = "name a file in a directory that you may write to"


def check_page_file(path: Path) -> None:
    """Raise Refused if the file exists and is no earlier page, RwmError if its directory is missing or unwritable."""
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise RwmError(f"{path}: its directory is missing or may not be written to", hint=_HINT)
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    except OSError as error:
        raise Refused(f"{path} exists and is no earlier page: {error.strerror}", hint="name another file") from error
    try:
        is_page = stat.S_ISREG(os.fstat(number).st_mode) and os.read(number, len(MARK)) == MARK.encode()
    finally:
        os.close(number)
    if not is_page:
        raise Refused(f"{path} exists and is no earlier page", hint="name another file, or remove it")


def write_page(path: Path, page: str) -> None:
    """Write the page with mode 0600, all or nothing. Raises as :func:`check_page_file`, and RwmError on failure."""
    check_page_file(path)
    try:
        number, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", dir=path.parent)
        new = Path(name)
        try:
            with os.fdopen(number, "w", encoding="utf-8") as file:
                file.write(page)
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise RwmError(f"{path}: {error.strerror}", hint=_HINT) from error
