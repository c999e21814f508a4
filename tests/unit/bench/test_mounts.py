"""The measurements of mounts: what is read from logs, which rounds run in which order, what becomes of the figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import looking, repository, restore, runs
from bench.counted import Counted, counted
from bench.links import LINKS, Line, Link, laid
from bench.looking import Seen
from bench.repository import Made, Task
from bench.runs import DIRECT, Ground, Peer, Run, Runs
from bench.table import MIB
from rwmfs.read.counters import Counters

TASK = Task(("snapshots",), lambda: None)
GROUND = Ground(cast("Made", None), Line("http://127.0.0.1:1", None))
NOW_AND_THEN = "2026-11-25 14:00:00,000 INFO rwmfs.mount.session: "


@given(st.lists(st.builds(Counters, *[st.integers(0, 10_000)] * 6), max_size=4))
def test_what_a_mount_says_of_itself_is_read_back(all_counters: list[Counters]) -> None:
    for counters in all_counters:
        for name in ("served", "fetched", "from_disk", "wasted"):
            setattr(counters, name, getattr(counters, name) * MIB)
    log = "".join(
        f"{NOW_AND_THEN}{'unmounted /mnt/so far' if at % 2 else 'so far'}: {counters.line()}\n{NOW_AND_THEN}something\n"
        for at, counters in enumerate(all_counters)
    )
    assert counted(log) == [Counted(c.served, c.fetched, c.requests, c.from_disk, c.wasted) for c in all_counters]


def test_what_came_since_is_a_difference() -> None:
    assert Counted(10, 8, 3, 2, 1).since(Counted(4, 8, 1, 0, 1)) == Counted(6, 0, 2, 2, 0)


def test_the_first_link_is_loopback_itself_and_counts_nothing() -> None:
    plain, slow = LINKS
    assert plain.is_plain and not slow.is_plain and not Link("wide", 0.01, None).is_plain
    with laid(plain, "http://127.0.0.1:1") as line:
        line.forget()
        assert (line.endpoint, line.read()) == ("http://127.0.0.1:1", None)


def test_what_is_nearest_to_a_part_is_restored_alone() -> None:
    sizes = {"documents/00": 1, "pictures/2001": 49, "pictures/2002": 61, "pictures/2003": 889}
    assert repository.nearest(sizes, 0.05) == "pictures/2001"
    assert repository.nearest(sizes, 0.06) == "pictures/2002"
    assert repository.nearest(sizes, 1) == "pictures/2003"
    with pytest.raises(ValueError, match="empty"):
        repository.nearest({}, 0.05)


def test_a_restore_that_brings_back_something_else_is_an_error(tmp_path: Path) -> None:
    made = Made(tmp_path, 4, "", {}, "", "")
    for kind, text in (("pictures/1", "same"), ("documents/1", "text")):
        (made.source / kind).mkdir(parents=True)
        (made.source / kind / "file").write_text(text)
    task = made.everything()
    target = Path(task.arguments[task.arguments.index("--target") + 1])
    restored = Path(f"{target}{made.source}")
    for name in ("pictures/1", "documents/1"):
        (restored / name).mkdir(parents=True)
        (restored / name / "file").write_text("same")
    with pytest.raises(RuntimeError, match="diff"):
        task.verify()
    (restored / "documents/1/file").write_text("text")
    task.verify()
    assert not target.exists()


def peer(label: str, log: list[str], seconds: Callable[[], float] = lambda: 1.0) -> Peer:
    def do(_ground: Ground, _task: Task) -> Runs:
        log.append(label)
        return {f"{label} first": Run(seconds(), 1), f"{label} again": Run(seconds(), 1)}

    return do


def test_every_second_round_goes_backwards_and_rows_keep_their_order() -> None:
    log: list[str] = []
    taken = runs.rounds(GROUND, TASK, [peer(name, log) for name in "abc"], 3)
    assert "".join(log) == "abccbaabc"
    assert list(taken) == [f"{name} {which}" for name in "abc" for which in ("first", "again")]


def test_a_row_is_the_median_of_its_rounds() -> None:
    times = iter([5.0, 50.0, 1.0, 10.0, 3.0, 30.0])
    taken = runs.rounds(GROUND, TASK, [peer("a", [], lambda: next(times))], 3)
    assert [run.seconds for run in taken.values()] == [3.0, 30.0]


def test_each_figure_has_its_own_median_and_none_is_made_up() -> None:
    several = [Run(1, 9, 2, gets=0), Run(2, 7, None, gets=4), Run(4, 8, 2, gets=1)]
    assert runs.middle(several) == Run(2, 8, None, gets=1)


def test_a_run_is_shown_as_a_multiple_of_the_first_peer() -> None:
    base = Run(10, 4)
    assert restore.row(DIRECT, base, base) == (DIRECT, "10.00", "1.00", "4.0", "-", "-", "-", "-", "-")
    run = Run(5, 4, 1.25, 120 * MIB, 0, 0, 0.004)
    cells = restore.row("rwmfs", run, base)
    assert cells == ("rwmfs", "5.00", "0.50", "4.0", "1.2", "120.0 MiB", "0.0 MiB", "0", "0.4%")
    assert len(cells) == len(restore.HEADERS)
    assert restore.seconds({DIRECT: base, "rwmfs": run}, "rwmfs") == ("5.00", "0.50")


def test_a_look_that_would_take_too_long_is_not_begun() -> None:
    before = Seen(0.1, {"ls -lR": looking.PATIENCE / 10, "find": looking.PATIENCE / 10 + 1}, 1)
    assert looking.hopeful(before, 10) == ("ls -lR",)
    assert looking.hopeful(before, 1) == ("ls -lR", "find")
    assert looking.hopeful(Seen(0.1, {}, 1), 1) == (), "what did not end is not tried again with more"


def test_a_look_that_nobody_waited_for_has_no_ratio() -> None:
    assert looking.figures(None, 2.0) == (f"> {looking.PATIENCE}", "-")
    assert looking.figures(4.0, 2.0) == ("4.00", "2.00")
    assert looking.figures(4.0, None) == ("4.00", "-")
