"""Tables, JSON, notes and questions."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import click
import pytest

from rwm.console import output
from rwm.errors import UsageError
from tests.unit.rwm.console.test_formatting import HOSTILE


def test_a_table_is_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(["name", "size"], [("a", 5), ("longer name", 12345)], right=(1,))
    assert capsys.readouterr().out == (
        "name          size\n-----------  -----\na                5\nlonger name  12345\n"
    )


def test_a_table_without_rows_has_its_headings(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(["a", "bc"], [])
    assert capsys.readouterr().out == "a  bc\n-  --\n"


def test_cells_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(["key", "x"], [(HOSTILE, 1), ("b", 2)])
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 4
    assert "\x1b" not in out


def test_json_has_no_control_character(capsys: pytest.CaptureFixture[str]) -> None:
    """C1 characters begin sequences of control in some terminals, and DEL is printed as it is."""
    document = {"key": "\x1b[2J \x7f \x9b31m \u202e \U000e0001 日本語 \ud800"}
    output.print_json(document)
    out = capsys.readouterr().out
    assert all(line.isprintable() for line in out.splitlines())
    assert json.loads(out) == document
    assert "日本語" in out


def test_warnings_and_notes_go_to_stderr_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    output.warn("\x1b[1A warned")
    output.print_note("\x1b[1A noted", "twice")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "warning: \\x1b[1A warned\n\\x1b[1A noted\ntwice\n"


def test_json_is_indented_and_keeps_non_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_json({"key": "Привет\x1b"})
    out = capsys.readouterr().out
    assert json.loads(out) == {"key": "Привет\x1b"}
    assert "Привет" in out
    assert "\x1b" not in out


class TestConfirm:
    def test_yes_does_not_ask(self) -> None:
        output.confirm("Delete all?", yes=True)

    def test_yes_is_required_without_a_terminal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
        with pytest.raises(UsageError, match="Delete all") as error:
            output.confirm("Delete all?", yes=False)
        assert "--yes" in error.value.hint

    @pytest.mark.parametrize(("answer", "goes_on"), [("y", True), ("n", False), ("", False)])
    def test_on_a_terminal_the_answer_decides(
        self, monkeypatch: pytest.MonkeyPatch, answer: str, goes_on: bool
    ) -> None:
        monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
        answers: Iterator[str] = iter([answer])
        monkeypatch.setattr("click.termui.visible_prompt_func", lambda prompt="": next(answers))
        if goes_on:
            output.confirm("Delete all?", yes=False)
        else:
            with pytest.raises(click.Abort):
                output.confirm("Delete all?", yes=False)
