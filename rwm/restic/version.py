"""Features of the installed restic, by its version."""

from __future__ import annotations

import re
from functools import cache

from rwm import process
from rwm.errors import RwmError

_VERSION = re.compile(r"^restic (\d+)\.(\d+)", re.MULTILINE)
_RETRY_LOCK_SINCE = (0, 16)  # restic's changelog, 0.16.0


@cache
def knows_retry_lock(program: str) -> bool:
    """Whether this restic has the option ``--retry-lock``; False for an unknown version."""
    try:
        text = process.run([program, "version"], timeout=60).stdout
    except RwmError:
        return False
    found = _VERSION.search(text)
    return found is not None and (int(found[1]), int(found[2])) >= _RETRY_LOCK_SINCE
