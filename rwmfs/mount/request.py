"""The request for a mount: the options of ``rwmfs mount`` as values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rwmfs.defaults import FETCH_TIMEOUT

if TYPE_CHECKING:
    from rwm.config import Config
    from rwm.location import Location
    from rwmfs.access import Access

READ_TIMEOUT = 20.0
"""Seconds without a byte within a response, after which the request is retried on another connection."""


@dataclass(frozen=True, slots=True)
class MountRequest:
    """``mountpoint`` is prepared, paths are absolute, sizes are in bytes.

    ``location`` is the root of what is shown: without ``at`` of all states that cover it. ``buffer_size`` is memory;
    ``cache_size`` is the limit of the disk cache in ``cache_dir`` (0: no disk cache); ``connections`` is the number of
    concurrent requests to S3; ``label`` replaces the usual name in lists of mounts. ``read_timeout`` is the longest
    wait for the next bytes of a response, and ``fetch_timeout`` the limit on a fetch with all its retries, both in
    seconds.
    """

    config: Config
    location: Location
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
    read_timeout: float = READ_TIMEOUT
    fetch_timeout: float = FETCH_TIMEOUT
