"""The command line of the measurements."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bench.__main__ import ON_REQUEST, PARTS, main
from bench.options import Options, parse_arguments


def test_parts_keep_their_order_and_sizes_are_options() -> None:
    assert parse_arguments([], PARTS) == (list(PARTS), Options())
    names, options = parse_arguments(["memory", "listing", "--small", "--objects", "3000"], PARTS)
    assert (names, options.objects, options.rounds) == (["listing", "memory"], 3000, 1)


def test_a_slow_link_has_one_round_unless_rounds_are_given() -> None:
    assert parse_arguments([], PARTS)[1].slow_rounds == 1 < parse_arguments([], PARTS)[1].rounds
    options = parse_arguments(["--small", "--rounds", "5", "--size", "80"], PARTS)[1]
    assert (options.rounds, options.slow_rounds, options.size) == (5, 5, 80)


def test_a_soak_runs_only_if_named() -> None:
    assert parse_arguments([], PARTS, ON_REQUEST)[0] == list(PARTS)
    names, options = parse_arguments(["soak", "restore", "--minutes", "0.5"], PARTS, ON_REQUEST)
    assert (names, options.minutes) == (["restore", "soak"], 0.5)


@pytest.mark.parametrize("arguments", [["nothing"], ["--objects", "0"], ["--objects", "many"], ["--minutes", "0"]])
def test_invalid_arguments_are_usage_errors(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert arguments[-1] in capsys.readouterr().err


def test_help_lists_the_parts() -> None:
    done = subprocess.run([sys.executable, "-m", "bench", "--help"], capture_output=True, text=True, check=True)
    assert all(part in done.stdout for part in (*PARTS, *ON_REQUEST))
