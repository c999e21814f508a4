"""Processes started with closed standard streams."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from rwm import process

SPEAK = """
import os, sys
import click
from rwm.console import error_boundary
from rwm.console import output, show_progress
from rwm.errors import Refused

@click.command()
def speak():
    click.echo("data")
    output.print_note("on the way")
    with show_progress("working"), open({file!r}, "w") as file:
        os.system("echo from a child; echo from a child >&2")
    raise Refused("what failed", hint="what to do")

error_boundary.run_program(speak, "rwm", [])
"""


@pytest.mark.parametrize(
    ("closed", "out", "err"),
    [
        (">&-", "", "on the way\nfrom a child\nrwm: what failed\n  what to do\n"),
        ("2>&-", "data\nfrom a child\n", ""),
        (">&- 2>&-", "", ""),
        ("<&- >&- 2>&-", "", ""),
    ],
)
def test_output_to_closed_standard_streams_is_discarded(tmp_path: Path, closed: str, out: str, err: str) -> None:
    file = tmp_path / "file"
    script = SPEAK.format(file=str(file))
    done = process.run(["/bin/sh", "-c", f'exec "$0" -c "$1" {closed}', sys.executable, script])
    assert sorted(done.stdout.splitlines()) == sorted(out.splitlines())
    assert (done.returncode, done.stderr) == (5, err)
    assert file.read_text() == ""
