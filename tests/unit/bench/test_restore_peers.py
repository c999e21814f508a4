"""Rounds of runs, and their medians."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from bench import restore_peers
from bench.network import LinkedEndpoint
from bench.restic_repository import Repository, Task
from bench.restore_peers import Environment, Peer, Run, Runs

TASK = Task(("snapshots",), lambda: None)
ENVIRONMENT = Environment(cast("Repository", None), LinkedEndpoint("http://127.0.0.1:1", None))


def peer(label: str, calls: list[str], seconds: Callable[[], float] = lambda: 1.0) -> Peer:
    def do(_environment: Environment, _task: Task) -> Runs:
        calls.append(label)
        return {f"{label} first": Run(seconds(), 1), f"{label} again": Run(seconds(), 1)}

    return do


def test_every_second_round_is_reversed_and_rows_keep_their_order() -> None:
    calls: list[str] = []
    taken = restore_peers.run_rounds(ENVIRONMENT, TASK, [peer(name, calls) for name in "abc"], 3)
    assert "".join(calls) == "abccbaabc"
    assert list(taken) == [f"{name} {which}" for name in "abc" for which in ("first", "again")]


def test_a_result_is_the_median_of_its_rounds() -> None:
    times = iter([5.0, 50.0, 1.0, 10.0, 3.0, 30.0])
    taken = restore_peers.run_rounds(ENVIRONMENT, TASK, [peer("a", [], lambda: next(times))], 3)
    assert [run.seconds for run in taken.values()] == [3.0, 30.0]


def test_each_figure_has_its_own_median_and_unknown_stays_unknown() -> None:
    several = [Run(1, 9, 2, gets=0), Run(2, 7, None, gets=4), Run(4, 8, 2, gets=1)]
    assert restore_peers.median_run(several) == Run(2, 8, None, gets=1)
