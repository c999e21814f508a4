"""Why restic failed: by exit code, and by message for restic before 0.17."""

from __future__ import annotations

import pytest

from rwm.errors import LockHeld, NotFound, RwmError
from rwm.location import Location
from rwm.process import Completed
from rwm.restic.failure import explain_failure

HERE = Location("bucket1", "host1/")


@pytest.mark.parametrize(
    ("code", "stderr", "kind", "said"),
    [
        (12, "", RwmError, "opens no key"),
        (1, "Fatal: wrong password or no key found\n", RwmError, "opens no key"),
        (11, "", LockHeld, "locked by another run"),
        (1, "unable to create lock in backend: repository is already locked by PID 1\n", LockHeld, "locked by another"),
        (10, "", NotFound, "there is no repository"),
        (1, "Fatal: x\nIs there a repository at the following location?\ns3:y\n", NotFound, "there is no repository"),
        (1, "first\nlast line\n", RwmError, "last line (exit code 1)"),
        (3, "", RwmError, "it failed (exit code 3)"),
        (-9, "", RwmError, "a signal ended it (9)"),
    ],
)
def test_a_failure_is_explained(code: int, stderr: str, kind: type[RwmError], said: str) -> None:
    error = explain_failure(Completed(code, "", stderr), "forget", HERE)
    assert type(error) is kind
    assert error.message.startswith("restic forget of bucket1/host1: ")
    assert said in error.message
