"""The table of the restore measurement."""

from __future__ import annotations

from bench import restore
from bench.restore_peers import LIVE_BUCKET, Run
from bench.table import MIB


def test_a_row_shows_the_ratio_to_the_first_peer() -> None:
    base = Run(10, 4)
    assert restore.row(LIVE_BUCKET, base, base) == (LIVE_BUCKET, "10.00", "1.00", "4.0", "-", "-", "-", "-", "-")
    run = Run(5, 4, 1.25, 120 * MIB, 0, 0, 0.004)
    cells = restore.row("rwmfs", run, base)
    assert cells == ("rwmfs", "5.00", "0.50", "4.0", "1.2", "120.0 MiB", "0.0 MiB", "0", "0.4%")
    assert len(cells) == len(restore.HEADERS)
    assert restore.seconds({LIVE_BUCKET: base, "rwmfs": run}, "rwmfs") == ("5.00", "0.50")
