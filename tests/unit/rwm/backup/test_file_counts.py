"""A backup of no files where there were many: partial, named in the detail, without retention, until there are some."""

from __future__ import annotations

from typing import Any

import pytest

from rwm.backup.file_counts import MANY_FILES, describe_loss
from rwm.errors import IndexUnusable
from rwm.index import Index
from rwm.location import Location
from tests.unit.rwm.backup.backup_host import BUCKET, BackupHost, outcomes

RETENTION = {"keep-last": 1, "keep-within": "1d"}


def files(number: int | str, **more: Any) -> dict[str, Any]:
    """An entry of which restic says that it processed so many files."""
    return {"tags": [f"files-{number}"], **more}


@pytest.mark.parametrize(
    ("now", "before", "is_reported"),
    [
        (0, MANY_FILES, True),
        (0, MANY_FILES - 1, False),
        (0, 0, False),
        (0, None, False),
        (1, 10_000, False),
        (None, 10_000, False),
    ],
)
def test_only_no_file_where_there_were_many_is_reported(now: int | None, before: int | None, is_reported: bool) -> None:
    assert bool(describe_loss(now, before)) == is_reported


def test_no_file_is_partial_until_there_are_some_again(host: BackupHost) -> None:
    assert host.run({"home": files(4213)}).backups[0].files == 4213
    for _ in range(2):
        report = host.run({"home": files(0)}, retention=RETENTION)
        (backup,) = report.backups
        assert (backup.outcome, backup.exit_code, backup.files) == ("partial", 0, 0)
        assert "restic processed 0 files, after 4213 in the last run that had any" in backup.detail
        assert (report.forget, report.exit_code) == (None, 3)
        assert report.state and report.state.outcome == "partial"
    report = host.run({"home": files(2)}, retention=RETENTION)
    assert outcomes(report) == {"home": "ok"}
    assert report.forget
    assert outcomes(host.run({"home": files(0)})) == {"home": "ok"}


def test_postrun_learns_of_it(host: BackupHost) -> None:
    host.run({"home": files(4213)})
    host.run({"home": files(0, postrun=[host.note("$RWM_BACKUP_OUTCOME")])})
    assert host.trail == ["partial"]


def test_each_entry_has_its_own_number(host: BackupHost) -> None:
    host.run({"home": files(4213), "mail": files(0)})
    assert outcomes(host.run({"home": files(4000), "mail": files(0), "etc": files(0)})) == {
        "home": "ok",
        "mail": "ok",
        "etc": "ok",
    }
    with host.open_index() as index:
        assert index.file_counts.last(Location(BUCKET), "home") == 4000
        assert index.file_counts.last(Location(BUCKET), "mail") is None
        assert index.file_counts.last(Location("other"), "home") is None


def test_without_a_number_nothing_is_said(host: BackupHost) -> None:
    host.run({"home": files(4213)})
    report = host.run({"home": {}})
    assert (report.backups[0].outcome, report.backups[0].files) == ("ok", None)
    assert "processed" not in report.backups[0].detail


def test_a_missing_source_and_no_file_are_both_named(host: BackupHost) -> None:
    host.run({"home": files(4213)})
    (backup,) = host.run({"home": files(0, filesdirs=[str(host.directory / "gone")])}).backups
    assert backup.outcome == "partial"
    assert "gone: does not exist; restic processed 0 files" in backup.detail


def test_without_an_index_the_backup_is_as_good(host: BackupHost) -> None:
    def broken() -> Index:
        raise IndexUnusable("index: disk is full")

    report = host.run({"home": files(4213)}, open_index=broken)
    assert outcomes(report) == {"home": "ok"}
    assert report.errors == ["no state was captured: index: disk is full"]
