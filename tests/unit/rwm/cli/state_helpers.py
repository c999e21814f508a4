"""Helpers for tests of ``rwm state``: configurations, recorded states, and forged state files."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rwm.model import Entry, StateInfo
from rwm.statefile.canonical import canonical_form, file_key, identified
from rwm.times import iso
from tests.unit.memory import MemoryS3
from tests.unit.terminal import Terminal

HERE = ("-c", "here.conf", "state")
ADMIN = ("-c", "admin.conf", "state")
HOSTILE_NAME = "b\n\x1b[31m`x`$(y) z"


def list_states(rwm_: Terminal, *words: str, conf: Sequence[str] = ADMIN) -> list[dict[str, Any]]:
    assert rwm_(*conf, "list", "--json", *words) == 0
    found: list[dict[str, Any]] = json.loads(rwm_.out)
    return found


def list_trusts(rwm_: Terminal, conf: Sequence[str] = ADMIN) -> list[str]:
    return [state["trust"] for state in list_states(rwm_, conf=conf)]


def make_state_file(bucket: str, second: int, entries: Sequence[Entry] = ()) -> tuple[StateInfo, bytes]:
    """A valid state and its file, made without a capture."""
    info = StateInfo("", bucket, second * 1000, "backup", len(entries), sum(entry.size for entry in entries), "ok")
    info = identified(info, entries)
    return info, gzip.compress(b"".join(canonical_form(info, entries)))


def store_forged_state(s3: MemoryS3, *keys: str, after: int = 60) -> StateInfo:
    """Store a state file whose entries contradict the history of the bucket."""
    s3.now += after * 1000
    info, body = make_state_file(
        "bucket1", s3.now // 1000 - 30, [Entry(key, "v0", 1, "x", 1000) for key in sorted(keys)]
    )
    s3.put("bucket1", file_key(info), body)
    return info


def store_original_file(s3: MemoryS3) -> str:
    """Store a state file of the original tool. Returns its key."""
    s3.now += 10_000
    started = iso(s3.now // 1000 * 1000)
    versions = [
        {
            "Key": entry.key,
            "VersionId": entry.version_id,
            "Size": entry.size,
            "ETag": f'"{entry.etag}"',
            "LastModified": iso(entry.last_modified),
            "IsLatest": entry.is_latest,
        }
        for entry in s3.versions("bucket1")
        if not entry.is_marker
    ]
    s3.now += 10_000
    key = f"rwm/state_{started}.json.gz"
    document = {"bucket_name": "bucket1", "time_start": started, "versions": versions, "delete_markers": []}
    s3.put("bucket1", key, gzip.compress(json.dumps(document).encode()))
    return key


def download_state_files(s3: MemoryS3, directory: Path) -> list[str]:
    """Write the state files of the bucket to the directory. Returns their names, oldest first."""
    keys = sorted(key for key in s3.buckets["bucket1"] if key.startswith("rwm/states/"))
    for key in keys:
        (directory / key.rpartition("/")[2]).write_bytes(b"".join(s3.stream("bucket1", key)))
    return [key.rpartition("/")[2] for key in keys]
