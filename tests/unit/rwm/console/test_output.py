"""What people and scripts get to see."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwm.console import formatting, output
from rwm.console.progress import format_figures, show_progress
from rwm.errors import UsageError
from rwm.model import StateInfo

HOSTILE = "a\x1b[2J\x07\n\r\tb\x00\u202e\x9b31m\ud800"


def test_control_characters_become_visible() -> None:
    assert formatting.escape(HOSTILE) == "a\\x1b[2J\\x07\\n\\r\\tb\\x00\\u202e\\x9b31m\\ud800"


@pytest.mark.parametrize("text", ["", "plain", "with space", "Привет", "100%", "日本語", "\U0001f600"])
def test_ordinary_text_stays(text: str) -> None:
    assert formatting.escape(text) == text


@given(text=st.text(st.characters()))
def test_what_is_escaped_can_be_printed_anywhere_on_one_line(text: str) -> None:
    shown = formatting.escape(text)
    assert shown.isprintable()
    assert len(shown.splitlines()) <= 1
    shown.encode()
    assert formatting.escape(shown) == shown


def test_a_table_is_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(["name", "size"], [("a", 5), ("longer name", 12345)], right=(1,))
    assert capsys.readouterr().out == (
        "name          size\n-----------  -----\na                5\nlonger name  12345\n"
    )


def test_a_table_without_rows_has_its_headings(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(["a", "bc"], [])
    assert capsys.readouterr().out == "a  bc\n-  --\n"


def test_a_row_stays_a_row_whatever_is_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(["key", "x"], [(HOSTILE, 1), ("b", 2)])
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 4
    assert "\x1b" not in out


def test_warnings_and_notes_go_to_stderr_and_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    output.warn("\x1b[1A warned")
    output.print_note("\x1b[1A noted", "twice")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "warning: \\x1b[1A warned\n\\x1b[1A noted\ntwice\n"


def test_a_document_is_json_that_people_can_read(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_json({"key": "Привет\x1b"})
    out = capsys.readouterr().out
    assert json.loads(out) == {"key": "Привет\x1b"}
    assert "Привет" in out
    assert "\x1b" not in out


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (1 << 20, "1.0 MiB"),
        (5 * (1 << 30), "5.0 GiB"),
        (1 << 40, "1.0 TiB"),
        (3 << 50, "3.0 PiB"),
        (5000 << 50, "5000.0 PiB"),
    ],
)
def test_sizes(count: int, text: str) -> None:
    assert formatting.format_size(count) == text


def test_a_state_for_scripts() -> None:
    info = StateInfo("ab" * 32, "bucket1", 1_795_176_000_000, "backup", 3, 42, "partial")
    assert formatting.state_json(info) == {
        "id": "ab" * 32,
        "bucket": "bucket1",
        "captured_at": "2026-11-20T12:00:00Z",
        "origin": "backup",
        "outcome": "partial",
        "objects": 3,
        "bytes": 42,
    }


class TestConfirm:
    def test_yes_does_not_ask(self) -> None:
        output.confirm("Delete all?", yes=True)

    def test_without_a_terminal_yes_must_be_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
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


class TestProgress:
    def test_nothing_is_shown_without_a_terminal(self, capsys: pytest.CaptureFixture[str]) -> None:
        with show_progress("listing", 3) as progress:
            progress(2)
            progress()
        assert capsys.readouterr() == ("", "")

    def test_on_a_terminal_it_counts_on_stderr(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        monkeypatch.setenv("TERM", "xterm")
        with show_progress("listing", 3) as progress:
            progress(3)
        captured = capsys.readouterr()
        assert captured.out == ""
        assert "listing" in captured.err
        assert "3/3" in captured.err

    def test_without_a_known_end_it_shows_how_many_how_fast_and_how_much(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        monkeypatch.setenv("TERM", "xterm")
        with show_progress("listing") as progress:
            progress(1000, 5 << 20)
            progress(234, 1 << 20)
        captured = capsys.readouterr()
        assert captured.out == ""
        assert "1,234" in captured.err
        assert "6.0 MiB" in captured.err

    @pytest.mark.parametrize(
        ("count", "rate", "size", "text"),
        [(0, None, 0, "0"), (12345, None, 0, "12,345"), (12345, 1700.4, 3 << 20, "12,345 · 1,700/s · 3.0 MiB")],
    )
    def test_the_figures(self, count: int, rate: float | None, size: int, text: str) -> None:
        assert format_figures(count, rate, size) == text
