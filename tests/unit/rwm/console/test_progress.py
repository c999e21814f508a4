"""The progress display."""

from __future__ import annotations

import sys

import pytest

from rwm.console.progress import format_figures, show_progress


class TestProgress:
    def test_nothing_is_shown_without_a_terminal(self, capsys: pytest.CaptureFixture[str]) -> None:
        with show_progress("listing", 3) as progress:
            progress(2)
            progress()
        assert capsys.readouterr() == ("", "")

    def test_it_counts_on_stderr_on_a_terminal(
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

    def test_without_a_total_it_shows_items_rate_and_bytes(
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
    def test_format_figures(self, count: int, rate: float | None, size: int, text: str) -> None:
        assert format_figures(count, rate, size) == text
