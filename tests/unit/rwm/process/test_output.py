"""Splitting output into lines."""

from __future__ import annotations

import pytest

from rwm.process.output import MAX_LINE, TAIL_LENGTH, LineSplitter


class TestLineSplitter:
    @pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
    def test_lines_do_not_depend_on_the_size_of_reads(self, size: int) -> None:
        data = "a\nžluť\r\n\n 10 %\r 20 %\r\nend".encode()
        got: list[str] = []
        lines = LineSplitter("stdout", lambda _, line: got.append(line))
        for start in range(0, len(data), size):
            lines.feed(data[start : start + size])
        lines.feed(b"", final=True)
        assert got == ["a", "žluť", "", " 10 %", " 20 %", "end"]
        assert lines.tail() == data.decode()

    def test_a_carriage_return_ends_a_line_at_once(self) -> None:
        got: list[str] = []
        lines = LineSplitter("stdout", lambda _, line: got.append(line))
        lines.feed(b"10 %\r")
        assert got == ["10 %"]

    def test_memory_is_bounded(self) -> None:
        got: list[str] = []
        lines = LineSplitter("stdout", lambda _, line: got.append(line))
        for _ in range(50):
            lines.feed(b"x" * (MAX_LINE + 1))
        assert len(got) == 50
        assert lines.tail() == "x" * TAIL_LENGTH
