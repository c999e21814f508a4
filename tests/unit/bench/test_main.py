"""Running the parts."""

from __future__ import annotations

import re
import signal

import pytest

from bench import memory
from bench.__main__ import main
from bench.options import Options


def test_the_duration_of_a_part_is_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    ran: list[Options] = []
    monkeypatch.setattr(memory, "main", ran.append)
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert main(["memory", "--small"]) == 0
    finally:
        signal.signal(signal.SIGTERM, before)
    assert [options.objects for options in ran] == [20_000]
    assert re.fullmatch(r"memory: done in \d+ s\n\n", capsys.readouterr().out)
