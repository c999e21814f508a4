"""``python -m tests.help`` writes docs/commands.md: the help text of every command, as the programs print it."""

from __future__ import annotations

from collections.abc import Iterator

import click

from rwm.cli.main import cli as rwm
from rwmfs.cli.main import cli as rwmfs
from tests import ROOT

COMMANDS = ROOT / "docs" / "commands.md"
PROGRAMS: dict[str, click.Command] = {"rwm": rwm, "rwmfs": rwmfs}
WIDTH = 80


def walk(
    name: str, command: click.Command, parent: click.Context | None = None, *, hidden: bool = False
) -> Iterator[tuple[str, click.Command, click.Context]]:
    """(what to type, command, context) of a program and all its commands, groups before what is in them."""
    context = command.make_context(name, [], parent, resilient_parsing=True, terminal_width=WIDTH)
    yield context.command_path, command, context
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            child = command.get_command(context, each)
            if child is not None and (hidden or not child.hidden):
                yield from walk(each, child, context, hidden=hidden)


def everything(*, hidden: bool = False) -> Iterator[tuple[str, click.Command, click.Context]]:
    """:func:`walk` over both programs."""
    for name, command in PROGRAMS.items():
        yield from walk(name, command, hidden=hidden)


def text() -> str:
    """What docs/commands.md should say."""
    parts = ["# Commands", "What `--help` says. Written by `python -m tests.help`; do not edit."]
    for path, _, context in everything():
        parts += [f"## {path}", f"```text\n{context.get_help().rstrip()}\n```"]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    COMMANDS.write_text(text())
