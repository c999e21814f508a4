"""Each cell of the tables in docs/threat-model.md names tests that exist."""

from __future__ import annotations

import ast
import re
import sys
from functools import cache
from typing import NamedTuple

import pytest

from rwm import process
from tests import ROOT
from tests.histories.attacks import attack
from tests.unit.rwm.trust.auditing import audit_history
from tests.unit.rwm.trust.test_attacks import RETENTION, usual_history

TEXT = (ROOT / "docs" / "threat-model.md").read_text()
BODY, _, LIST = TEXT.partition("## The tests\n")
UNTRIED = "AWS"
"""The column that follows documentation."""
ELSEWHERE = ("who", "with the keys of host1")
"""Tables, by their first heading, that a sentence before them holds as a whole, or that say nothing to be tested."""


class Cell(NamedTuple):
    """A cell, with the first cell of its row and its column."""

    row: str
    column: str
    text: str


def tables() -> list[list[list[str]]]:
    found = re.findall(r"(?:^\|.*\n)+", BODY, re.MULTILINE)
    return [[[cell.strip() for cell in line.strip("|\n").split("|")] for line in table.splitlines()] for table in found]


def cells() -> list[Cell]:
    """All cells that a test has to hold."""
    return [
        Cell(row[0], column, text)
        for headings, _, *rows in tables()
        if headings[0] not in ELSEWHERE
        for row in rows
        for column, text in list(zip(headings, row, strict=True))[1:]
        if column != UNTRIED
    ]


def named_tests() -> dict[int, str]:
    """The tests by number."""
    found = {}
    for file, names in re.findall(r"^`(tests/\S+\.py)`:\n\n((?:- .*\n)+)", LIST, re.MULTILINE):
        for number, name in re.findall(r"^- \[(\d+)\] `([\w:]+)`$", names, re.MULTILINE):
            assert int(number) not in found, number
            found[int(number)] = f"{file}::{name}"
    return found


@cache
def functions(file: str) -> set[str]:
    """The test functions of a file, those of classes as ``Class::name``."""
    found = set()
    for node in ast.parse((ROOT / file).read_text()).body:
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{each.name}" for each in node.body if isinstance(each, ast.FunctionDef)}
        elif isinstance(node, ast.FunctionDef):
            found.add(node.name)
    return found


def test_every_cell_names_a_test() -> None:
    assert len(tables()) > 8 and len(cells()) > 150
    bare = [cell for cell in cells() if cell.text != "-" and not re.search(r"\[\d+\]", cell.text)]
    assert bare == []
    assert "untested" not in BODY


def test_every_number_has_a_test_and_every_test_a_number_in_the_text() -> None:
    used = {int(number) for number in re.findall(r"\[(\d+)\]", BODY)}
    assert used == set(named_tests()) == set(range(1, len(used) + 1))


def test_every_named_test_exists() -> None:
    named = [test.partition("::") for test in named_tests().values()]
    missing = [(file, name) for file, _, name in named if name not in functions(file)]
    assert missing == []


@pytest.mark.slow
def test_every_named_test_is_collected() -> None:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    done = process.run([*command, *named_tests().values()], cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    collected = {line.partition("[")[0] for line in done.stdout.splitlines() if "::" in line}
    assert collected == set(named_tests().values())


def test_the_table_of_several_machines_is_held_as_a_whole() -> None:
    (sentence,) = re.findall(r"Every cell is an attempt of\s\[(\d+)\]", BODY)
    assert named_tests()[int(sentence)].endswith("test_storage_prefixes.py::test_the_table_is_right")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("overwrite packs", "other-content"),
        ("delete everything", "unlocked-removal"),
        ("forget everything and prune with restic", "beyond-retention"),
        ("many false snapshots", "snapshot-burst"),
        ("junk of the same size in parts", "written-twice"),
        ("copy with own key and the same etag", "written-twice"),
        ("huge backup", "large-backup"),
    ],
)
def test_an_attack_has_the_code_that_the_document_names(name: str, code: str) -> None:
    history = usual_history(0)
    before = {finding.id for finding in audit_history(history, RETENTION)}
    attack(history, name)
    assert code in {finding.rule.code for finding in audit_history(history, RETENTION) if finding.id not in before}
    assert f"`{code}`" in BODY
