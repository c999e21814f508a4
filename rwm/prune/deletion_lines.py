"""Deletions as lines of JSON, and lines as members of a gzip file. Pure."""

from __future__ import annotations

import json
import zlib
from typing import Any

from rwm.prune.key_plan import Deletion
from rwm.prune.stages import Stage
from rwm.times import LAST_TIME

_GZIP = zlib.MAX_WBITS + 16
_FASTEST = 1


def encode(deletion: Deletion, stage: Stage) -> bytes:
    """A deletion as a line of JSON."""
    kind = "marker" if stage.is_marker else "version"
    line = {
        "key": deletion.key,
        "version_id": deletion.version_id,
        "kind": kind,
        "size": deletion.size,
        "why": deletion.why,
        "last_modified": deletion.last_modified,
        "noncurrent_at": deletion.noncurrent_at,
        "stage": int(stage),
    }
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> tuple[Stage, Deletion]:
    """A deletion and its stage from a line. Raises ValueError, KeyError or TypeError for any other line."""
    found: dict[str, Any] = json.loads(line)
    return Stage(found["stage"]), Deletion(*(found[name] for name in Deletion._fields))


def check_deletion(deletion: Deletion) -> None:
    """Raise ValueError for a deletion from a file whose fields have values that RWM does not write."""
    key, version_id, size, why, *times = deletion
    if not all(isinstance(text, str) for text in (key, version_id, why)):
        raise ValueError("a field is no text")
    if not (_is_number(size) and all(_is_number(time) and time <= LAST_TIME for time in times)):
        raise ValueError("a field is no number, or too large")


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def compress(data: bytes) -> bytes:
    """A member of a gzip file."""
    packer = zlib.compressobj(_FASTEST, zlib.DEFLATED, _GZIP)
    return packer.compress(data) + packer.flush()


def decompress(packed: bytes) -> bytes:
    """What was packed by :func:`compress`."""
    return zlib.decompress(packed, _GZIP)
