"""A state as a file: the canonical form, and the id that is its hash. Pure.

JSON Lines in UTF-8: a header line, then one line for each entry, sorted by key (by byte). No spaces, fields in the
order below, a line feed after every line. The state id is the SHA-256 of exactly these bytes, so that
``zcat FILE | sha256sum`` proves any copy::

    {"format":"rwm-state-1","bucket":…,"captured_at":…,"origin":…,"outcome":…,"objects":…,"bytes":…}
    {"key":…,"version_id":…,"size":…,"etag":…,"last_modified":…}

Times are ISO 8601 in UTC. The file is kept in the bucket as ``rwm/states/<captured_at>-<id>.jsonl.gz``.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import IO

from rwm.model import OWN_PREFIX, Entry, StateInfo
from rwm.times import iso

FORMAT = "rwm-state-1"
PREFIX = OWN_PREFIX + "states/"

_encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False)


def canonical(info: StateInfo, entries: Iterable[Entry]) -> Iterator[bytes]:
    """The lines of the canonical form. ``info.id`` is not part of it; ``entries`` come sorted by key."""
    header = {
        "format": FORMAT,
        "bucket": info.bucket,
        "captured_at": iso(info.captured_at),
        "origin": info.origin,
        "outcome": info.outcome,
        "objects": info.objects,
        "bytes": info.bytes,
    }
    yield _line(header)
    for entry in entries:
        yield _line(entry_json(entry))


def entry_json(entry: Entry) -> dict[str, str | int]:
    """One entry as files and ``state show --json`` have it."""
    return {
        "key": entry.key,
        "version_id": entry.version_id,
        "size": entry.size,
        "etag": entry.etag,
        "last_modified": iso(entry.last_modified),
    }


def _line(value: Mapping[str, object]) -> bytes:
    return _encoder.encode(value).encode() + b"\n"


def identified(info: StateInfo, entries: Iterable[Entry], copy: IO[bytes] | None = None) -> StateInfo:
    """``info`` with its id; on the way the compressed file is written to ``copy``."""
    digest = hashlib.sha256()
    with gzip.GzipFile(filename="", fileobj=copy, mode="wb", compresslevel=6, mtime=0) if copy else _Nowhere() as file:
        for line in canonical(info, entries):
            digest.update(line)
            file.write(line)
    return replace(info, id=digest.hexdigest())


class _Nowhere:
    """Takes what is written and keeps nothing."""

    def __enter__(self) -> _Nowhere:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def write(self, data: bytes) -> None:
        """Forget it."""


def file_key(info: StateInfo) -> str:
    """Where the state is kept in its bucket."""
    return f"{PREFIX}{iso(info.captured_at)}-{info.id}.jsonl.gz"
