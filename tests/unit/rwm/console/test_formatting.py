"""Escaping, sizes, and states as JSON."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwm.console import formatting
from rwm.model import StateInfo

HOSTILE = "a\x1b[2J\x07\n\r\tb\x00\u202e\x9b31m\ud800"


def test_control_characters_are_escaped() -> None:
    assert formatting.escape(HOSTILE) == "a\\x1b[2J\\x07\\n\\r\\tb\\x00\\u202e\\x9b31m\\ud800"


@pytest.mark.parametrize("text", ["", "plain", "with space", "Привет", "100%", "日本語", "\U0001f600"])
def test_printable_text_is_unchanged(text: str) -> None:
    assert formatting.escape(text) == text


@given(text=st.text(st.characters()))
def test_escaped_text_is_one_printable_line(text: str) -> None:
    shown = formatting.escape(text)
    assert shown.isprintable()
    assert len(shown.splitlines()) <= 1
    shown.encode()
    assert formatting.escape(shown) == shown


@given(name=st.text(st.characters(), max_size=1024))
def test_a_long_name_is_shortened(name: str) -> None:
    shown = formatting.shorten(name)
    assert shown.isprintable()
    assert len(shown) <= formatting.MAX_NAME + 20
    escaped = formatting.escape(name)
    assert shown == escaped if len(escaped) <= formatting.MAX_NAME else shown.startswith(escaped[:60])


def test_both_ends_of_a_long_name_are_shown() -> None:
    name = "data/00/" + "a" * 1000 + "/end"
    assert formatting.shorten(name) == f"data/00/{'a' * 52}…{'a' * 55}/end (1012 characters)"


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


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0s"), (59.9, "59s"), (60, "1m"), (3599, "59m"), (3600, "1h"), (86_399, "23h"), (400 * 86_400, "400d")],
)
def test_ages(seconds: float, text: str) -> None:
    assert formatting.format_age(int(seconds * 1000)) == text


def test_a_state_as_json() -> None:
    info = StateInfo("ab" * 32, "bucket1", 1_795_176_000_000, "backup", 3, 42, "partial")
    assert formatting.state_json(replace(info, prefix="host1/"))["prefix"] == "host1/"
    assert formatting.state_json(info) == {
        "id": "ab" * 32,
        "bucket": "bucket1",
        "prefix": "",
        "captured_at": "2026-11-20T12:00:00Z",
        "origin": "backup",
        "outcome": "partial",
        "objects": 3,
        "bytes": 42,
    }
