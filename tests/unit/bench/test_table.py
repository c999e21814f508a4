"""Tables and figures."""

from __future__ import annotations

from bench import table


def test_a_table_is_aligned() -> None:
    lines = table.format_table(
        "title", ("", "µs", "ratio"), [("boto3", "98.1", "1.00"), ("rwm, raw", "5.0", "0.05")], "note"
    )
    assert lines.splitlines() == [
        "title",
        "               µs   ratio",
        "  boto3      98.1    1.00",
        "  rwm, raw    5.0    0.05",
        "  note",
    ]


def test_figures_are_formatted() -> None:
    assert table.count(1_234_567) == "1 234 567"
    assert [table.mib(size) for size in (0, 1 << 20, 2000 << 20)] == ["0.0 MiB", "1.0 MiB", "2 000 MiB"]
    assert [table.ratio(*pair) for pair in ((1, 3), (300, 2), (1, 0), (1, 140))] == ["0.33", "150", "-", "0.0071"]
