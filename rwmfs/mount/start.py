"""Start a mount: open the index and S3, find the state, check that it can be read, and serve it.

Runs in the process that serves the mount, because neither SQLite nor boto3 survives a fork.
"""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rwm.console import classes_json, state_json, verdict_json
from rwm.errors import RwmError, S3Error
from rwm.model import LATEST, RecordedState
from rwm.repositories import is_repository
from rwmfs.mount import logs
from rwmfs.mount.request import MountRequest

if TYPE_CHECKING:
    from rwm.index import Index
    from rwm.location import Location
    from rwm.model import ObjectReader, StateInfo
    from rwm.s3 import S3
    from rwmfs.buffer_pool import BufferPool
    from rwmfs.cache import DiskCache
    from rwmfs.mount.session import Mount
    from rwmfs.tree import Contents


def ignore_counters_signal() -> None:
    """Ignore SIGUSR1, which asks a mount for its counters, until the mount handles it.

    To be called before the process forks, or the signal could kill the child.
    """
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)


def serve_mount(request: MountRequest, ready: Callable[[dict[str, Any]], None]) -> None:
    """Mount, call ``ready`` with a report (a JSON object), and serve until the mount ends.

    Raises StateNotFound, UsageError (the state cannot be shown at the location), IndexUnusable, S3Error (it cannot be
    read), or MountError.
    """
    from rwm.index import Index
    from rwm.s3 import connect
    from rwmfs.mount import session

    logs.configure(request.log_file, stderr=request.foreground, verbose=request.verbose)
    with Index.open(request.config.index_path, readonly=True) as index:
        settings = request.config.s3_settings()
        s3 = connect(settings, attempts=1, read_timeout=request.read_timeout, pool_size=request.connections)
        if request.at is None:
            contents, report = _all_states(index, s3.reader(request.location.bucket), request.location)
        else:
            contents, report = _single_state(index, s3.reader(request.location.bucket), request.location, request.at)
        report["mountpoint"] = str(request.mountpoint)
        report["log_file"] = str(request.log_file) if request.log_file else None
        session.serve(_mount(request, contents, s3), lambda: ready(report))


def _mount(request: MountRequest, contents: Contents, s3: S3) -> Mount:
    """The mount of the contents, with one buffer pool for S3 and the disk cache."""
    from rwmfs.buffer_pool import BufferPool, idle_limit
    from rwmfs.mount.session import Mount

    pool = BufferPool(idle_limit(request.buffer_size))
    return Mount(
        contents,
        # One attempt: the mount's fetcher has its own retries.
        s3.reader(request.location.bucket, attempts=1, allocate=pool.allocate),
        request.mountpoint,
        buffer_size=request.buffer_size,
        idle=pool.idle,
        disk=_disk_cache(request, pool),
        connections=request.connections,
        access=request.access,
        allow_other=request.allow_other,
        label=request.label,
        fetch_timeout=request.fetch_timeout,
    )


def _disk_cache(request: MountRequest, pool: BufferPool) -> DiskCache | None:
    if not request.cache_size:
        return None
    from rwmfs.cache import DiskCache

    endpoint = request.config.required("s3_endpoint_url")
    return DiskCache(request.cache_dir, request.cache_size, endpoint, request.location.bucket, pool.allocate)


def _single_state(index: Index, source: ObjectReader, location: Location, at: str) -> tuple[Contents, dict[str, Any]]:
    """The contents and the report of a mount of one state, which is checked to be readable."""
    from rwmfs.mount.location_checks import check_covers, check_directory
    from rwmfs.mount.readable import check_readable
    from rwmfs.tree import SingleState

    info = index.resolve(at, location)
    judged = next((state for state in index.recorded(location) if state.info.id == info.id), RecordedState(info, "own"))
    check_covers(info, location)
    check_directory(index.tree(info), location)
    state = index.tree(info, location.prefix)
    check_readable(state, source)
    contents = SingleState(state, index.trust)
    objects, size = contents.totals()
    report = state_json(info) | {
        "prefix": location.prefix,
        "objects": objects,
        "bytes": size,
        "hidden_keys": state.hidden_count(),
        "trust": index.trust(info),
        "repository": is_repository(state, state.root),
        **verdict_json(judged),
    }
    return contents, report | classes_json(index.storage_classes.of_state(info, location.prefix))


def _all_states(index: Index, source: ObjectReader, location: Location) -> tuple[Contents, dict[str, Any]]:
    """The contents and the report of a mount of all states; one must be readable, and the latest one should be."""
    from rwmfs.mount.readable import check_newest_readable, sample
    from rwmfs.tree import AllStates

    contents = AllStates(index, location)
    catalog = contents.catalog()
    if catalog.newest is None:
        index.resolve(LATEST, location)  # raises StateNotFound with a hint
    states = [state for state in index.recorded(location) if state.info.location.covers(location)]
    _check_any_directory(index, [state.info for state in states], location)
    unreadable: S3Error | None = None
    if (latest := catalog.named.get(LATEST)) is not None:
        others = sample([state.info for state in reversed(states) if state.info != latest])
        trees = (index.tree(info, location.prefix) for info in (latest, *others))
        unreadable = check_newest_readable(trees, source)
    trust = Counter(state.trust for state in states)
    report = {
        "bucket": location.bucket,
        "prefix": location.prefix,
        "states": len(catalog.ids),
        "trust": dict(trust),
        "unreadable": {"id": latest.id, "why": unreadable.message} if latest and unreadable else None,
    }
    return contents, report | classes_json(index.storage_classes.of_location(location))


def _check_any_directory(index: Index, states: list[StateInfo], location: Location) -> None:
    """Raise the newest state's error if none of the states, oldest first, can be mounted at the location."""
    from rwmfs.mount.location_checks import check_directory

    newest_error: RwmError | None = None
    for info in reversed(states):
        try:
            check_directory(index.tree(info), location)
        except RwmError as error:
            newest_error = newest_error or error
        else:
            return
    if newest_error is not None:
        raise newest_error
