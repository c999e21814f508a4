"""``rwmfs``: commands that need neither S3 nor the index start without their libraries."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests import ROOT

HEAVY = {"boto3", "botocore", "pyfuse3", "sqlite3", "sqlite_utils", "trio", "pydantic"}


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--help"], 0),
        (["mount", "--help"], 0),
        (["umount", "--help"], 0),
        (["version"], 0),
        (["umount", "missing"], 1),
    ],
)
def test_quick_commands_import_nothing_heavy(words: list[str], code: int) -> None:
    script = f"""
import sys
before = set(sys.modules)
sys.argv[1:] = {words!r}
from rwmfs.cli.main import main
try:
    main()
except SystemExit as end:
    assert end.code == {code}, end.code
assert not (heavy := {HEAVY!r} & set(sys.modules) - before), heavy
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
