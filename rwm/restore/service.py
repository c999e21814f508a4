"""Restore: make a state real again, as files in a directory or as objects in another bucket."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from typing import IO

from rwm.errors import AccessDenied, BadResponse, Refused, RwmError, Unreachable, UsageError
from rwm.index import Index
from rwm.model import Entry, StateInfo, StateTree
from rwm.names import path_below
from rwm.restic import expected_sha256
from rwm.s3 import S3
from rwm.s3.listing import list_histories

THREADS = 8
HIDDEN = ".rwm-hidden"
"""Where keys go that have no path: each as the SHA-256 of its key, with ``keys.jsonl`` to tell which is which.

A state that has such a name itself gets ``.rwm-hidden-1`` or the next that is free.
"""

BODY_ATTEMPTS = 4
"""How often a file is begun whose body breaks off."""

NONE_YET = 16
"""So many objects denied or out of reach before any could be restored: it is not about single objects."""

IN_A_ROW = 100
"""So many one after the other, later: the server has gone, or the right to read."""

_OF_ONE_NAME = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ)
"""What a filesystem has against one name: it is too long, or the same as another but for upper and lower case."""

Progress = Callable[[int], None]


@dataclass
class RestoreResult:
    """What was restored; ``failures`` are (key, why). Hidden keys count as objects too, and are in ``aside``."""

    objects: int = 0
    bytes: int = 0
    hidden: int = 0
    aside: str = HIDDEN
    failures: list[tuple[str, str]] = field(default_factory=list)


def restore_to_directory(
    s3: S3, index: Index, info: StateInfo, directory: Path, progress: Progress = lambda count: None
) -> RestoreResult:
    """Download every entry of the state below ``directory``, which must be empty or not there yet.

    Files are 0600, directories 0700. Nothing is written outside, whatever the keys say: the directory is our own, no
    other user may write to it, and it is held open, so that nobody can put a symbolic link in the place of it or of
    anything below. An object that cannot be had or whose bytes are wrong becomes a failure, and no file of that name
    is left. Raises Refused for a directory that is in use or that others may write to, and the errors of S3 that meet
    every object alike.
    """
    tree = index.tree(info)
    hidden = set(tree.hidden_keys())
    result = RestoreResult(hidden=len(hidden), aside=_free_name(tree))
    stop = threading.Event()
    with _own_empty(directory) as root:
        if hidden:
            _set_aside(root / result.aside, hidden)

        def one(entry: Entry) -> None:
            if entry.key in hidden:
                path = root / result.aside / _hidden_name(entry.key)
            else:
                path = path_below(root, entry.key)
                _make_directories(root, path.parent)
            _download(s3, info.bucket, entry, path, stop)

        _all(index.entries(info), one, result, progress, stop)
    return result


def _free_name(tree: StateTree) -> str:
    """A name for the hidden keys that no key of the state has or begins with."""
    names = (f"{HIDDEN}-{n}" if n else HIDDEN for n in count())
    return next(name for name in names if tree.child(tree.root, name) is None)


def _set_aside(place: Path, hidden: set[str]) -> None:
    try:
        place.mkdir(mode=0o700)
        with _create(place / "keys.jsonl") as file:
            for key in sorted(hidden):
                file.write(json.dumps({"file": _hidden_name(key), "key": key}).encode() + b"\n")
    except OSError as error:
        raise RwmError(f"{place.name}/keys.jsonl: {error.strerror}") from error


@contextmanager
def _own_empty(directory: Path) -> Iterator[Path]:
    """Make the directory if it is missing, and hold it open: the path leads there whatever becomes of its name."""
    other = "name a new one, which is made"
    try:
        for missing in [path for path in reversed(directory.parents) if not path.exists()]:
            missing.mkdir(mode=0o700, exist_ok=True)  # with parents=True these would be as the umask says
        directory.mkdir(mode=0o700, exist_ok=True)
        if directory.is_symlink():
            raise Refused(f"directory {directory} is a symbolic link", hint="name the directory itself, or a new one")
        number = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(f"directory {directory}: {error.strerror}", hint="name a new or an empty directory") from error
    held = Path(f"/proc/self/fd/{number}")
    try:
        found = os.fstat(number)
        if found.st_uid != os.geteuid():
            raise Refused(f"directory {directory} belongs to another user", hint=other)
        if found.st_mode & 0o022:
            mode = f"{stat.S_IMODE(found.st_mode):04o}"
            raise Refused(f"directory {directory} can be written to by others (mode {mode})", hint=other)
        if any(held.iterdir()):
            raise Refused(f"directory {directory} is not empty", hint=other)
        yield held
    finally:
        os.close(number)


def _make_directories(root: Path, directory: Path) -> None:
    """What is missing of ``directory`` below ``root``, each 0700: with parents=True those above would not be."""
    if directory.is_dir():
        return
    below = directory.relative_to(root)
    for path in (*reversed(below.parents), below):
        (root / path).mkdir(mode=0o700, exist_ok=True)


def _hidden_name(key: str) -> str:
    return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()


def _create(path: Path) -> IO[bytes]:
    """A new file, 0600; never one that is there already, nor what a symbolic link points to."""
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o600), "wb")


def _download(s3: S3, bucket: str, entry: Entry, path: Path, stop: threading.Event) -> None:
    """Write the entry's version to ``path``, or raise and leave nothing there."""
    file = _create(path)
    try:
        with file:
            for attempt in range(BODY_ATTEMPTS):
                try:
                    _verify(entry, *_write(s3.stream(bucket, entry.key, entry.version_id), file))
                    break
                except Unreachable:  # botocore retries up to the headers; the body is ours to retry
                    wait = random.uniform(0.1, 0.2) * 2**attempt  # noqa: S311 - jitter
                    if attempt == BODY_ATTEMPTS - 1 or stop.wait(wait):
                        raise
                    file.seek(0)
                    file.truncate()
        os.utime(path, ns=(entry.last_modified * 1_000_000,) * 2)
    except BaseException:
        path.unlink()
        raise


def _write(chunks: Iterator[bytes], file: IO[bytes]) -> tuple[int, str]:
    """Size and SHA-256 of what was written."""
    digest, size = hashlib.sha256(), 0
    for chunk in chunks:
        file.write(chunk)
        digest.update(chunk)
        size += len(chunk)
    return size, digest.hexdigest()


def _verify(entry: Entry, size: int, sha256: str) -> None:
    if size != entry.size:
        raise BadResponse(f"{size} bytes came, the state has {entry.size}")
    expected = expected_sha256(entry.key)
    if expected and expected != sha256:
        raise BadResponse(f"the content is not what its name says (SHA-256 {sha256})")


def restore_to_bucket(
    s3: S3, index: Index, info: StateInfo, target: str, progress: Progress = lambda count: None
) -> RestoreResult:
    """Copy every entry of the state into ``target``, on the server; it must be empty, or is made (versioned).

    What arrived is compared with the state in the end. Raises Refused for a bucket that holds anything.
    """
    if target == info.bucket:
        raise UsageError(f"bucket {target} is the state's own", hint="name another bucket")
    if not s3.bucket_exists(target):
        s3.create_bucket(target)
        s3.enable_versioning(target)
    elif next(s3.versions(target, page_size=1), None) is not None:
        raise Refused(f"bucket {target} is not empty", hint="name an empty or a new bucket")
    result = RestoreResult()

    def one(entry: Entry) -> None:
        s3.copy(info.bucket, entry.key, entry.version_id, target)

    _all(index.entries(info), one, result, progress, threading.Event())
    failed = {key for key, _ in result.failures}
    arrived = {
        version.key: version.size
        for part in list_histories(s3, target)
        for history in part
        for version in history[:1]
        if not version.is_marker
    }
    for entry in index.entries(info):
        if entry.key not in failed and arrived.get(entry.key) != entry.size:
            result.failures.append((entry.key, f"{arrived.get(entry.key)} bytes arrived of {entry.size}"))
            result.objects -= 1
            result.bytes -= entry.size
    return result


def _all(
    entries: Iterator[Entry],
    one: Callable[[Entry], None],
    result: RestoreResult,
    progress: Progress,
    stop: threading.Event,
) -> None:
    """Do ``one`` for every entry, a few at a time. A fault of one object is noted, one that meets all is raised.

    What meets all is told from what does not by counting: one object may be out of reach although the server is
    there, and one may be denied although others are not, because a machine may have put it there. ``stop`` is set
    when nothing more is to be tried.
    """
    row: list[RwmError] = []
    pool = ThreadPoolExecutor(THREADS)
    try:
        for batch in iter(lambda: list(islice(entries, 16 * THREADS)), []):
            for entry, future in [(entry, pool.submit(one, entry)) for entry in batch]:
                try:
                    future.result()
                except RwmError as error:
                    result.failures.append((entry.key, error.message))
                    if not isinstance(error, AccessDenied | Unreachable):
                        row.clear()
                        continue
                    row.append(error)
                    if len(row) >= (IN_A_ROW if result.objects else NONE_YET):
                        text = f"{error.message}; so {len(row)} times in a row, {result.objects} objects are restored"
                        raise type(error)(text, hint=error.hint) from error
                except OSError as error:
                    if error.errno not in _OF_ONE_NAME:
                        raise RwmError(f"{entry.key}: {error.strerror}") from error
                    result.failures.append((entry.key, error.strerror or str(error)))
                    row.clear()
                else:
                    result.objects += 1
                    result.bytes += entry.size
                    row.clear()
                finally:
                    progress(1)
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)
    if row and len(row) == len(result.failures) and not result.objects:
        raise row[-1]  # fewer than it takes to be sure, but there are no others
