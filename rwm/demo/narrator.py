"""Runs commands the way a person would type them, and says what happened and why it matters."""

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

_OWN = ("rwm", "rwmfs")  # run with our own Python, whatever is on the PATH


class Narrator:
    """Shows each step. On a terminal with colours, elsewhere as plain lines."""

    def __init__(self, directory: Path, environment: Mapping[str, str], console: Console | None = None) -> None:
        self._directory = directory
        self._environment = environment
        self._console = console or Console(highlight=False, soft_wrap=True)
        self._step = 0

    def title(self, text: str) -> None:
        """What this is about."""
        self._console.print(f"[bold]{escape(text)}[/bold]\n")

    def step(self, title: str, why: str) -> None:
        """Begin a step; ``why`` says why it matters."""
        self._step += 1
        self._console.print(f"\n[bold cyan]{self._step}. {escape(title)}[/bold cyan]")
        self._console.print(f"   [dim]{escape(why)}[/dim]")

    def say(self, text: str, style: str = "") -> None:
        """Something that happened."""
        self._console.print(f"   {escape(text)}", style=style)

    def good(self, text: str) -> None:
        """Something that went well."""
        self.say(f"✔ {text}", "green")

    def bad(self, text: str) -> None:
        """Something that is lost, as the story wants it."""
        self.say(f"✘ {text}", "red")

    def run(self, *command: str, env: Mapping[str, str] | None = None, fails: bool = False, only: str = "") -> str:
        """Show the command, run it in the demo's directory, show what it prints, and return that.

        ``only`` is a regular expression: lines that it does not match are left out, each gap with an ellipsis.
        ``fails`` says that the story wants it to fail. Anything else than what is wanted raises RwmError.
        """
        typed = _typed([*(f"{name}={value}" for name, value in (env or {}).items()), *command])
        self._console.print(f"   [bold]$ {escape(typed)}[/bold]")
        lines: list[str] = []
        gap = False

        def show(_stream: str, line: str) -> None:
            nonlocal gap
            lines.append(line)
            wanted = bool(line.strip()) and re.search(only, line) is not None
            if wanted:
                self._console.print(f"     {escape(line)}")
            elif line.strip() and not gap:
                self._console.print("     …")
            gap = not wanted and (gap or bool(line.strip()))

        with contextlib.chdir(self._directory):
            done = process.stream(_argv(command), env={**self._environment, **(env or {})}, on_line=show)
        if (done.returncode != 0) != fails:
            what = "worked, but should have failed" if fails else f"failed with exit code {done.returncode}"
            raise RwmError(f"the demo stops: `{typed}` {what}", hint=" ".join(lines[-3:]))
        return "\n".join(lines)

    def ask(self, *command: str) -> str:
        """Run a command of which nothing is shown, and return its standard output."""
        done = process.run(_argv(command), env=self._environment, cwd=self._directory)
        if done.returncode:
            raise RwmError(f"the demo stops: `{_typed(command)}` failed: {done.stderr.strip()}")
        return done.stdout


def _argv(command: Sequence[str]) -> list[str]:
    if command[0] in _OWN:
        return [sys.executable, "-m", *command]
    return [process.find(command[0]), *command[1:]]


def _typed(words: Sequence[str]) -> str:
    return " ".join(word if "=" in word.partition("/")[0] else shlex.quote(word) for word in words)
