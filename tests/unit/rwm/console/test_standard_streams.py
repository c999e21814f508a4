"""Standard streams that are closed, broken or full never stop the work; the exit code says what was lost."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from rwm import process
from rwm.errors import Refused

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


WORK = """
import sys
from pathlib import Path
import click
from rwm import console, process
from rwm.errors import Refused

@click.command()
def work():
    for number in range(3):
        console.print_note(f"step {{number}}")
        click.echo(f"result {{number}}")
        sys.stdout.flush()
        process.run_shell("yes x | head -n 20000; yes y | head -n 20000 >&2; echo child >> {done}")
    console.warn("caf\\u2603")
    with Path("{done}").open("a") as file:
        file.write("done")
    {end}

console.run_program(work, "rwm", [])
"""


def work(directory: Path, redirection: str, end: str = "") -> tuple[process.Completed, str]:
    """Run a program that reports and runs children, and return what it left behind."""
    record = directory / "done"
    pipeline = f'"$0" -c "$1" {redirection}; exit "${{PIPESTATUS[0]}}"'
    script = WORK.format(done=record, end=end)
    done = process.run(["/bin/bash", "-c", pipeline, sys.executable, script])
    return done, record.read_text()


@pytest.mark.parametrize(
    "redirection",
    [
        "2>&1 | true",
        "2>/dev/null | true",
        "2> >(true) >/dev/null",
        ">/dev/full 2>/dev/null",
        "2>/dev/full >/dev/null",
        ">/dev/full 2>/dev/full",
    ],
)
def test_the_work_is_done_whatever_happens_to_its_report(tmp_path: Path, redirection: str) -> None:
    done, record = work(tmp_path, redirection)
    assert record == "child\nchild\nchild\ndone"
    assert done.returncode == 3


def test_a_lost_report_is_said_where_it_can_be_said(tmp_path: Path) -> None:
    done, _ = work(tmp_path, ">/dev/full")
    assert done.stderr.splitlines()[-1] == "rwm: done, but a part of the output was lost: No space left on device"


def test_an_error_of_the_work_comes_before_a_lost_report(tmp_path: Path) -> None:
    done, _ = work(tmp_path, ">/dev/full 2>/dev/full", end="raise Refused('no')")
    assert done.returncode == Refused.exit_code


def test_all_that_was_written_is_no_loss(tmp_path: Path) -> None:
    done, _ = work(tmp_path, "")
    assert done.returncode == 0
    assert [line for line in done.stdout.splitlines() if line != "x"] == ["result 0", "result 1", "result 2"]


def test_a_character_that_the_encoding_lacks_is_escaped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
    done, _ = work(tmp_path, "")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (0, "warning: caf\\u2603")


FULL_PIPE = """
import fcntl, os, sys, threading, time
from rwm.console import open_standard_streams

read, write = os.pipe()
os.dup2(write, 1)
os.set_blocking(1, False)
open_standard_streams()
total = []
def drain():
    while data := os.read(read, 4096):
        total.append(len(data))
reader = threading.Thread(target=drain)
reader.start()
print("x" * 1_000_000, flush=True)
os.close(write); os.dup2(2, 1)
reader.join()
print(sum(total), file=sys.stderr)
"""


def test_a_full_pipe_that_does_not_block_is_waited_for() -> None:
    done = process.run([sys.executable, "-c", FULL_PIPE])
    assert (done.returncode, done.stderr) == (0, "1000001\n")


STRICT = """
import sys
from rwm.console import open_standard_streams, strict_output
open_standard_streams()
try:
    with strict_output():
        print("data")
except OSError as error:
    print(error.strerror, file=sys.stderr)
"""


def test_output_that_is_the_work_itself_fails() -> None:
    done = process.run(["/bin/sh", "-c", '"$0" -c "$1" >/dev/full', sys.executable, STRICT])
    assert done.stderr == "No space left on device\n"
