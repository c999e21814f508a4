"""Run commands as a user would type them, and show them with their output and explanations."""

from __future__ import annotations

import contextlib
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from rwm import process
from rwm.errors import RwmError

_OWN_PROGRAMS = ("rwm", "rwmfs")  # run with our Python, whatever is on the PATH


class Narrator:
    """Prints the steps: with colours on a terminal, as plain lines elsewhere."""

    def __init__(self, directory: Path, environment: Mapping[str, str], console: Console | None = None) -> None:
        self._directory = directory
        self._environment = environment
        self._console = console or Console(highlight=False, soft_wrap=True)
        self._step = 0

    def title(self, text: str) -> None:
        """Print a title."""
        self._console.print(f"[bold]{escape(text)}[/bold]\n")

    def step(self, title: str, why: str) -> None:
        """Begin a numbered step; ``why`` explains it."""
        self._step += 1
        self._console.print(f"\n[bold cyan]{self._step}. {escape(title)}[/bold cyan]")
        self._console.print(f"   [dim]{escape(why)}[/dim]")

    def say(self, text: str, style: str = "") -> None:
        """Print a line of text."""
        self._console.print(f"   {escape(text)}", style=style)

    def good(self, text: str) -> None:
        """Print a success."""
        self.say(f"✔ {text}", "green")

    def bad(self, text: str) -> None:
        """Print a loss."""
        self.say(f"✘ {text}", "red")

    def run(self, *command: str, env: Mapping[str, str] | None = None, fails: bool = False, only: str = "") -> str:
        """Print the command, run it in the directory of the demo, print its output and return it.

        ``only`` is a regular expression: lines that do not match are replaced by an ellipsis. ``fails`` says that
        the command is expected to fail. Raises RwmError if it does not end as expected.
        """
        typed = _typed([*(f"{name}={value}" for name, value in (env or {}).items()), *command])
        self._console.print(f"   [bold]$ {escape(typed)}[/bold]")
        lines: list[str] = []
        gap = False

        def show(_stream: str, line: str) -> None:
            nonlocal gap
            lines.append(line)
            shown = bool(line.strip()) and re.search(only, line) is not None
            if shown:
                self._console.print(f"     {escape(line)}")
            elif line.strip() and not gap:
                self._console.print("     …")
            gap = not shown and (gap or bool(line.strip()))

        with contextlib.chdir(self._directory):
            done = process.stream(_argv(command), env={**self._environment, **(env or {})}, on_line=show)
        if (done.returncode != 0) != fails:
            outcome = "succeeded, but should have failed" if fails else f"failed with exit code {done.returncode}"
            raise RwmError(f"the demo stops: `{typed}` {outcome}", hint=" ".join(lines[-3:]))
        return "\n".join(lines)

    def run_silently(self, *command: str) -> str:
        """Run a command without printing anything. Returns its standard output."""
        done = process.run(_argv(command), env=self._environment, cwd=self._directory)
        if done.returncode:
            raise RwmError(f"the demo stops: `{_typed(command)}` failed: {done.stderr.strip()}")
        return done.stdout


def _argv(command: Sequence[str]) -> list[str]:
    if command[0] in _OWN_PROGRAMS:
        return [sys.executable, "-m", *command]
    return [process.find_program(command[0]), *command[1:]]


def _typed(words: Sequence[str]) -> str:
    return " ".join(word if "=" in word.partition("/")[0] else shlex.quote(word) for word in words)
