"""The summary of ``restic backup``, in outputs that restic 0.14 and 0.18 printed."""

from __future__ import annotations

import pytest

from rwm.restic.summary import processed_files

TEXT = """no parent snapshot found, will read all files

Files:           3 new,     0 changed,     0 unmodified
Dirs:            2 new,     0 changed,     0 unmodified
Added to the repository: 1.681 KiB (1.190 KiB stored)

processed 3 files, 6 B in 0:00
snapshot 1009ed2d saved
"""
EMPTY = """no parent snapshot found, will read all files

Files:           0 new,     0 changed,     0 unmodified
Dirs:            1 new,     0 changed,     0 unmodified
Added to the repository: 364 B (385 B stored)

processed 0 files, 0 B in 0:00
snapshot 9916ac19 saved
"""
VERBOSE = """start scan on [src]
start backup on [src]
scan finished in 0.261s: 4213 files, 6 B

Files:           0 new,     0 changed,  4213 unmodified
Dirs:            0 new,     0 changed,     2 unmodified
Data Blobs:      0 new
Tree Blobs:      0 new
Added to the repository: 0 B   (0 B   stored)

processed 4213 files, 6 B in 0:00
snapshot 5337e0d8 saved
"""
SKIPPED = """using parent snapshot 98701e6e

Files:           0 new,     0 changed,     3 unmodified
Dirs:            0 new,     0 changed,     2 unmodified
Added to the repository: 0 B   (0 B   stored)

processed 3 files, 6 B in 5124095573468383:13:00
skipped creating snapshot
"""
TERMINAL_OF_014 = (
    "\r\x1b[2K[0:00] 0 files 0 B, total 0 files 0 B, 0 errors\r\r\x1b[2K\r\r\x1b[2K\n\r\x1b[2K\r\r\x1b[2KFiles:  "
    "         0 new,     0 changed,     0 unmodified\n\r\x1b[2K\r\r\x1b[2KDirs:            0 new,     5 changed,     0 "
    "unmodified\n\r\x1b[2K\r\r\x1b[2KAdded to the repository: 1.740 KiB (1.514 KiB stored)\n\r\x1b[2K\r\r\x1b[2K\n\r"
    "\x1b[2K\r\r\x1b[2Kprocessed 0 files, 0 B in 0:00\n\r\x1b[2K\r\r\x1b[2Ksnapshot 15da620c saved\n\r\x1b[2K\r\r"
    "\x1b[2K\n\r\x1b[1A"
)
TERMINAL_OF_018 = (
    "[0:00] 150 files 14.305 MiB, total 150 files 14.305 MiB, 0 errors\r\r\x1b[2K\r\r\x1b[2K\n\r\x1b[2KFiles:       "
    "  150 new,     0 changed,     0 unmodified\n\r\x1b[2KDirs:            5 new,     0 changed,  "
    "   0 unmodified\n\r\x1b[2KAdded to the repository: 14.356 MiB (14.326 MiB stored)\n\r\x1b[2K\n"
    "\r\x1b[2Kprocessed 150 files, 14.305 MiB in 0:01\n\r\x1b[2Ksnapshot 0440cc3e saved\n"
)
JSON_OF_014 = """{"message_type":"status","percent_done":0,"files_done":1}
{"message_type":"summary","files_new":0,"files_changed":0,"files_unmodified":3,"dirs_new":0,"dirs_changed":0,\
"dirs_unmodified":2,"data_blobs":0,"tree_blobs":0,"data_added":0,"total_files_processed":3,"total_bytes_processed":6,\
"total_duration":0.217791464,"snapshot_id":"45aa5966"}
"""
JSON_OF_018 = """{"message_type":"summary","files_new":0,"files_changed":0,"files_unmodified":0,"dirs_new":0,\
"dirs_changed":0,"dirs_unmodified":1,"data_blobs":0,"tree_blobs":0,"data_added":0,"data_added_packed":0,\
"total_files_processed":0,"total_bytes_processed":0,"total_duration":0.909287717,\
"backup_start":"2026-11-28T15:42:06.327175474Z","backup_end":"2026-11-28T15:42:07.236463191Z",\
"snapshot_id":"39e4d144eddad795104b32b143291e36fc3dbf1062d5f7e26fc9113c6ee543c4"}
"""


@pytest.mark.parametrize(
    ("output", "files"),
    [
        (TEXT, 3),
        (TEXT.replace("\n", "\r\n"), 3),
        (EMPTY, 0),
        (VERBOSE, 4213),
        (SKIPPED, 3),
        (TERMINAL_OF_014, 0),
        (TERMINAL_OF_018, 150),
        (JSON_OF_014, 3),
        (JSON_OF_018, 0),
        (TEXT + EMPTY, 0),
        ("new       /srv/processed 7 files, saved in 0.1s\nprocessed 7 files, as a name\n" + EMPTY, 0),
    ],
)
def test_the_files_of_the_last_summary(output: str, files: int) -> None:
    assert processed_files(output) == files


@pytest.mark.parametrize(
    "output",
    [
        "",  # --quiet
        "snapshot 1009ed2d saved\n",
        "Fatal: unable to open repository\n",
        "{not json\n",
        '{"message_type":"summary"}\n',
        '{"message_type":"status","total_files_processed":3}\n',
        '{"message_type":"summary","total_files_processed":"3"}\n',
    ],
)
def test_nothing_is_known_without_a_summary(output: str) -> None:
    assert processed_files(output) is None
