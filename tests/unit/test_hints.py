"""Every command between backticks in what is printed can be typed: it exists, is complete, and its words are quoted.

Help texts and the rules of the audit are documentation, where backticks only mark a name.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import pytest

from rwm.cli.main import cli as rwm
from rwmfs.cli.main import cli as rwmfs
from tests import ROOT

PROGRAMS: dict[str, click.Command] = {"rwm": rwm, "rwmfs": rwmfs}
DOCUMENTATION = {"Rule", "option", "command", "HINT", "Verdict"}
"""Calls whose texts are documentation: rules, and the help of options and commands."""

NEED_BUCKET = {"audit": {"rules"}, "prune": {"is_log"}}
"""Commands with an optional BUCKET, which they need unless one of these options is given."""

QUOTED = re.compile(r"quote\(.*\)|.*\[:SHORT_ID\]|([\w.]+\.)?short|([\w.]+\.)?bucket|_?[A-Z_]+", re.DOTALL)
"""Expressions whose values are one word of a shell: quoted, hexadecimal digits, names of buckets, constants."""


class Hint(NamedTuple):
    """A command in a text, with the values that are inserted between NULs."""

    where: str
    text: str

    def words(self) -> list[str]:
        """The words, each value a word."""
        return shlex.split(re.sub("\0.*?\0", "VALUE", self.text, flags=re.DOTALL))

    def values(self) -> list[str]:
        """The expressions of the values."""
        return re.findall("\0(.*?)\0", self.text, flags=re.DOTALL)


def hints() -> Iterator[Hint]:
    for package in PROGRAMS:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield from _hints_of(path)


def _hints_of(path: Path) -> Iterator[Hint]:
    tree = ast.parse(path.read_text())
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):  # a docstring
            skipped.add(node.value)
        if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in DOCUMENTATION:
            skipped.update(ast.walk(node))
        if isinstance(node, ast.JoinedStr):
            skipped.update(node.values)
    for node in ast.walk(tree):
        if node not in skipped and isinstance(node, ast.JoinedStr | ast.Constant):
            for command in re.findall(r"`(rwm(?:fs)? [^`]*)`", "" if "CREATE TABLE" in _text(node) else _text(node)):
                yield Hint(f"{path.relative_to(ROOT)}:{node.lineno}", command)


def _text(node: ast.JoinedStr | ast.Constant) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    parts = []
    for part in node.values:
        if isinstance(part, ast.FormattedValue):
            parts.append(f"\0{ast.unparse(part.value)}\0")
        elif isinstance(part, ast.Constant):
            parts.append(str(part.value))
    return "".join(parts)


HINTS = list(hints())


def test_there_are_hints() -> None:
    assert len(HINTS) > 50


@pytest.mark.parametrize("hint", HINTS, ids=str)
def test_a_command_in_a_hint_can_be_typed(hint: Hint) -> None:
    words = hint.words()
    command = PROGRAMS[words.pop(0)]
    while isinstance(command, click.Group):
        assert words, f"{hint.where}: no command"
        found = command.commands.get(words.pop(0))
        assert found is not None and not found.hidden, f"{hint.where}: no such command"
        command = found
    context = click.Context(command, help_option_names=["-h", "--help"])  # the command keeps the names
    values, _, _ = command.make_parser(context).parse_args(words)  # raises for an unknown option
    given = {name for name, value in values.items() if isinstance(value, str | tuple | bool) and value}
    needed = {item.name for item in command.params if isinstance(item, click.Argument) and item.required}
    if command.name in NEED_BUCKET and not given & NEED_BUCKET[command.name]:
        needed.add("location")
    assert needed <= given, f"{hint.where}: not all arguments are given"
    for value in hint.values():
        assert QUOTED.fullmatch(value), f"{hint.where}: {value} is not quoted"
