"""What a mount is asked to do: the options of ``rwmfs mount`` as values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rwmfs.defaults import PATIENCE

if TYPE_CHECKING:
    from rwm.config import Config
    from rwmfs.fuse import Access

SILENCE = 20.0
"""Seconds that a server may be silent within an answer before it is asked again, on another connection."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asked for. ``mountpoint`` is prepared, paths are absolute, sizes are in bytes.

    Without ``at`` all states are shown. ``buffer_size`` is memory, ``cache_size`` the room for the cache on disk in
    ``cache_dir`` (0: none); ``connections`` are requests to S3 at once; ``label`` is how lists of mounts call it, None
    for its usual name. ``silence`` is how many seconds a server may be silent within an answer, ``patience`` how many a
    read may take with all that is tried for it.
    """

    config: Config
    bucket: str
    at: str | None
    mountpoint: Path
    buffer_size: int
    cache_dir: Path
    cache_size: int
    connections: int
    access: Access
    allow_other: bool
    log_file: Path | None
    foreground: bool
    verbose: bool
    label: str | None = None
    silence: float = SILENCE
    patience: float = PATIENCE
