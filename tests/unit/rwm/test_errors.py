"""The error tree is that of its docstring, and the exit codes are the documented ones."""

from __future__ import annotations

import pickle
import re

import pytest

import rwm.errors
from rwm.errors import RwmError


def every_class(base: type[RwmError] = RwmError) -> list[type[RwmError]]:
    return [base, *(found for child in base.__subclasses__() for found in every_class(child))]


CLASSES = [cls for cls in every_class() if cls.__module__ == "rwm.errors"]

EXIT_CODES = {
    "RwmError": 1,
    "UsageError": 2,
    "ConfigError": 2,
    "PartlyDone": 3,
    "CheckFailed": 4,
    "Refused": 5,
    "AccessDenied": 6,
    "LockHeld": 7,
    "StateNotFound": 1,
    "BadState": 1,
    "IndexUnusable": 1,
    "IndexDamaged": 1,
    "SpoolFull": 1,
    "CommandMissing": 1,
    "MountError": 1,
    "S3Error": 1,
    "Archived": 1,
    "NotFound": 1,
    "NotSupported": 1,
    "Unreachable": 1,
    "BadResponse": 1,
    "Cancelled": 1,
}


def test_every_class_has_its_documented_exit_code() -> None:
    assert {cls.__name__: cls.exit_code for cls in CLASSES} == EXIT_CODES


def drawn() -> dict[str, tuple[str, int | None]]:
    """Class → (parent, exit code) as the docstring of the module draws them."""
    found: dict[str, tuple[str, int | None]] = {}
    above: list[str] = []
    lines = (rwm.errors.__doc__ or "").splitlines()
    for line in lines:
        if match := re.match(r"    ([│├└─ ]*)([A-Z]\w+)(?:\s+(\d))?", line):
            depth = len(match[1]) // 4
            above = [*above[:depth], match[2]]
            found[match[2]] = (above[-2] if depth else "", int(match[3]) if match[3] else None)
    return found


def test_the_tree_in_the_docstring_is_that_of_the_classes() -> None:
    tree = drawn()
    assert set(tree) == {cls.__name__ for cls in CLASSES}
    for cls in CLASSES[1:]:
        parent, code = tree[cls.__name__]
        assert parent == cls.__bases__[0].__name__
        assert code in (cls.exit_code, None)
        assert code is not None or cls.exit_code == EXIT_CODES[parent]


@pytest.mark.parametrize("cls", CLASSES)
def test_message_and_hint(cls: type[RwmError]) -> None:
    error = cls("what failed", hint="what to do")
    assert (str(error), error.message, error.hint) == ("what failed", "what failed", "what to do")
    assert cls("what failed").hint == ""
    assert cls.__doc__


@pytest.mark.parametrize("cls", CLASSES)
def test_errors_can_be_pickled(cls: type[RwmError]) -> None:
    copied = pickle.loads(pickle.dumps(cls("what failed", hint="what to do")))
    assert type(copied) is cls
    assert (copied.message, copied.hint) == ("what failed", "what to do")
