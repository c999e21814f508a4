"""The two restics that tests run: Debian's, and a newer one that `make install-dev` puts beside it."""

from __future__ import annotations

import os
import re

import pytest

from rwm import process
from rwm.errors import RwmError
from tests import ROOT

_NEWER = ROOT / "venv" / "restic-current" / "restic"

# RWM_RESTIC_CURRENT names another one. It is read when tests are collected: they run without such variables.
PROGRAMS = {"restic-debian": "restic", "restic-current": os.environ.get("RWM_RESTIC_CURRENT", str(_NEWER))}
"""Name, which is also the id of a test's parameter, → program."""

current_is_slow = pytest.mark.parametrize(
    "restic_program", ["restic-debian", pytest.param("restic-current", marks=pytest.mark.slow)], indirect=True
)
"""For tests of what does not depend on the version of restic: `make test` runs them with one of the two."""

SINCE_OWN_EXIT_CODES = (0, 17)
"""The version from which on restic has exit codes 10 to 12; before, they are 1."""


def program(name: str) -> str:
    """The path of that restic. One that is missing fails the test."""
    try:
        return process.find_program(PROGRAMS[name])
    except RwmError as error:
        raise AssertionError(f"{error.message} at {PROGRAMS[name]}; `make install-dev` puts it there") from None


def version(restic: str) -> tuple[int, ...]:
    """What a restic says that it is: (0, 18, 0)."""
    said = process.run([restic, "version"], env=os.environ).stdout
    found = re.match(r"restic (\d+(?:\.\d+)+)", said)
    assert found, said
    return tuple(int(number) for number in found[1].split("."))
