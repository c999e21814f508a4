"""Errors end as one line on stderr and an exit code."""

from __future__ import annotations

import sys

import click
import pytest

from rwm import process
from rwm.errors import (
    AccessDenied,
    BadResponse,
    CheckFailed,
    ConfigError,
    LockHeld,
    PartlyDone,
    Refused,
    RwmError,
    StateNotFound,
    Unreachable,
    UsageError,
)
from tests.unit.terminal import Terminal


def failing(error: BaseException) -> click.Command:
    @click.command()
    @click.option("-v", "verbose", is_flag=True)
    @click.argument("words", nargs=-1, type=click.UNPROCESSED)
    def command(verbose: bool, words: tuple[str, ...]) -> None:
        raise error

    return command


ERRORS: list[tuple[RwmError, int]] = [
    (RwmError("what failed"), 1),
    (UsageError("what failed"), 2),
    (ConfigError("what failed"), 2),
    (PartlyDone("what failed"), 3),
    (CheckFailed("what failed"), 4),
    (Refused("what failed"), 5),
    (AccessDenied("what failed"), 6),
    (LockHeld("what failed"), 7),
    (StateNotFound("what failed"), 1),
    (Unreachable("what failed"), 1),
    (BadResponse("what failed"), 1),
]


@pytest.mark.parametrize(("error", "code"), ERRORS)
def test_an_error_is_one_line_with_its_exit_code(rwm_: Terminal, error: RwmError, code: int) -> None:
    assert rwm_(command=failing(error)) == code
    assert (rwm_.out, rwm_.err) == ("", "rwm: what failed\n")


def test_a_hint_is_a_second_line(rwm_: Terminal) -> None:
    assert rwm_(command=failing(Refused("what failed", hint="what to do"))) == 5
    assert rwm_.err == "rwm: what failed\n  what to do\n"


def test_a_traceback_is_printed_only_with_v_and_before_the_error_line(rwm_: Terminal) -> None:
    assert rwm_("-v", command=failing(Refused("what failed"))) == 5
    assert rwm_.err.startswith("Traceback")
    assert rwm_.err.endswith("\nrwm: what failed\n")
    assert rwm_("--", "-v", command=failing(Refused("what failed"))) == 5
    assert rwm_.err == "rwm: what failed\n"


def test_an_unexpected_exception_is_one_line_too(rwm_: Terminal) -> None:
    assert rwm_(command=failing(KeyError("a\nb"))) == 1
    assert rwm_.err == "rwm: internal error, please report it: KeyError: 'a\\nb' (-v prints a traceback)\n"
    assert rwm_("-v", command=failing(KeyError("x"))) == 1
    assert "Traceback" in rwm_.err


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_an_interrupt_has_exit_code_130(rwm_: Terminal, error: BaseException) -> None:
    assert rwm_(command=failing(error)) == 130
    assert rwm_.err.strip() == "rwm: interrupted"


def test_the_return_value_of_a_command_is_its_exit_code(rwm_: Terminal) -> None:
    @click.command()
    def partly() -> int:
        return 3

    assert rwm_(command=partly) == 3


def test_control_characters_in_an_error_are_escaped(rwm_: Terminal) -> None:
    error = BadResponse("key \x1b[2J\n\x9b evil", hint="\x1b]0;title\x07")
    assert rwm_(command=failing(error)) == 1
    assert rwm_.err == "rwm: key \\x1b[2J\\n\\x9b evil\n  \\x1b]0;title\\x07\n"


TALK = """
import select, sys
import click
from rwm.console import error_boundary

@click.command()
def talk():
    reader = select.poll()
    reader.register(1, 0)
    reader.poll()  # until it has gone
    {line}

error_boundary.run_program(talk, "rwm", [])
"""


@pytest.mark.parametrize("line", ["click.echo('now')", "print('when the buffer is flushed at the end')"])
def test_a_closed_pipe_is_not_an_internal_error(line: str) -> None:
    pipeline = '"$0" -c "$1" | true; exit "${PIPESTATUS[0]}"'
    done = process.run(["/bin/bash", "-c", pipeline, sys.executable, TALK.format(line=line)])
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "")
