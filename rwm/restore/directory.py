"""Restore a state into a directory: one file for each key, verified as it is downloaded."""

from __future__ import annotations

import hashlib
import json
import os
import random
import threading
from collections.abc import Callable, Iterator
from itertools import count, islice
from pathlib import Path
from typing import IO

from rwm.errors import BadResponse, Cancelled, Refused, RwmError, Unreachable
from rwm.model import Entry, StateTree
from rwm.names import path_parts
from rwm.restic import expected_sha256
from rwm.restore.existing import find_foreign, is_beginning, is_proved
from rwm.restore.part import StatePart
from rwm.restore.partial_files import PartialFiles, is_digest, key_digest, open_partial
from rwm.restore.private_directory import PrivateDirectory, open_file, open_private
from rwm.restore.transfer import Progress, RestoreResult, transfer_entries
from rwm.s3 import S3

HIDDEN = ".rwm-hidden"
"""Directory for hidden keys: files named by the SHA-256 of the key, and ``keys.jsonl``, which maps them to keys.

A state that has this name itself gets ``.rwm-hidden-1``, or the next free number.
"""

PARTIAL = ".rwm-partial"
"""Directory for files that are not complete yet, numbered in the same way. It is removed at the end."""

BODY_ATTEMPTS = 4
"""Download attempts for a file whose body is cut off."""

_KEY_LIST = "keys.jsonl"
_NAMED = 3
"""How many files an error names."""


def restore_to_directory(
    s3: S3, part: StatePart, directory: Path, progress: Progress = lambda count: None
) -> RestoreResult:
    """Download every entry of the part below ``directory``, unless it is there already.

    A file gets its name when it is complete and verified, so a restore that was interrupted at any moment goes on when
    it is called again: files that prove their content by the SHA-256 in their names, or by their ETags, are kept. Files
    have mode 0600, directories 0700. Nothing is written outside, whatever the keys are: the directory must be our own
    and not writable by others, it is held open, and no symbolic link below it is followed.

    An object that cannot be read or has wrong content becomes a failure, and leaves no file. Raises Refused for an
    unsuitable directory and for one with anything that does not belong to the part, LockHeld for one that another
    restore uses, and errors of S3 or of the filesystem that concern every object.
    """
    with open_private(directory) as root:
        names = _Names(part)
        _check_foreign(root, names)
        result = RestoreResult(hidden=len(names.hidden), hidden_directory=names.hidden_directory)
        stop = threading.Event()
        with open_partial(root, names.partial_directory) as partial:
            _write_key_list(root, partial, names)
            writer = _Writer(s3, root, partial, names, stop)
            transfer_entries(part.entries(), writer.restore, result, progress, stop)
    return result


def check_target(directory: Path, part: StatePart | None = None) -> None:
    """Make the directory if it is missing. Raises what :func:`restore_to_directory` raises for an unsuitable one.

    Before the part is known, what is in the directory does not matter.
    """
    with open_private(directory) as root:
        if part is not None:
            _check_foreign(root, _Names(part))


class _Names:
    """The names of a part's entries below the target, and of the directories that a restore adds."""

    def __init__(self, part: StatePart) -> None:
        self.part = part
        self.tree = part.tree()
        self.hidden = set(self.tree.hidden_keys())
        self.hidden_directory = _unused_name(self.tree, HIDDEN)
        self.partial_directory = _unused_name(self.tree, PARTIAL)

    def path(self, entry: Entry) -> tuple[str, ...]:
        """The components of the path of an entry."""
        if entry.key in self.hidden:
            return self.hidden_directory, key_digest(entry.key)
        return path_parts(self.part.relative(entry.key))

    def own(self) -> dict[str, Callable[[str], bool]]:
        """The directories that a restore adds, with a test of the names in each."""
        hidden = {key_digest(key) for key in self.hidden} | {_KEY_LIST}
        directories: dict[str, Callable[[str], bool]] = {self.partial_directory: is_digest}
        return directories | ({self.hidden_directory: hidden.__contains__} if self.hidden else {})


def _unused_name(tree: StateTree, wanted: str) -> str:
    """The name, or the first one with a number that is not in the root of what is restored."""
    names = (f"{wanted}-{n}" if n else wanted for n in count())
    return next(name for name in names if tree.child(tree.root, name) is None)


def _check_foreign(root: PrivateDirectory, names: _Names) -> None:
    foreign = list(islice(find_foreign(root, names.tree, names.own()), _NAMED + 1))
    if not foreign:
        return
    found = ", ".join(f"{path!r} {why}" for path, why in foreign[:_NAMED])
    raise Refused(
        f"directory {root.path} is not empty: {found}" + (", …" if len(foreign) > _NAMED else ""),
        hint="name a new one, which is made; one with an interrupted restore of the same state is completed",
    )


def _write_key_list(root: PrivateDirectory, partial: PartialFiles, names: _Names) -> None:
    if not names.hidden:
        return
    lines = [json.dumps({"file": key_digest(key), "key": key}).encode() + b"\n" for key in sorted(names.hidden)]
    try:
        with root.open_directory(names.hidden_directory, create=True) as directory, partial.create(_KEY_LIST) as file:
            file.writelines(lines)
            file.close()
            partial.place(_KEY_LIST, directory, _KEY_LIST, replace=True)
    except OSError as error:
        raise RwmError(f"{names.hidden_directory}/{_KEY_LIST}: {error.strerror}") from error


class _Writer:
    """Writes the file of an entry unless it is there. Called in threads."""

    def __init__(
        self, s3: S3, root: PrivateDirectory, partial: PartialFiles, names: _Names, stop: threading.Event
    ) -> None:
        self._s3 = s3
        self._root = root
        self._partial = partial
        self._names = names
        self._bucket = names.part.info.bucket
        self._stop = stop

    def restore(self, entry: Entry) -> bool:
        """Write the file, or raise and leave none; False if it was there already."""
        *above, name = self._names.path(entry)
        with self._root.open_directory(*above, create=True) as directory:
            existing = open_file(directory, name)
            if existing is None:
                self._write(entry, directory, name, None)
                return True
            with existing:
                if is_proved(entry, existing):
                    return False
                self._write(entry, directory, name, existing)
                return True

    def _write(self, entry: Entry, directory: int, name: str, existing: IO[bytes] | None) -> None:
        """Replace an existing file only if it is the beginning of the right one, or wrong by its own name."""
        has_hash = expected_sha256(entry.key) is not None
        with self._partial.create(entry.key) as file:
            self._download(entry, file)
            if existing is not None and not has_hash and not is_beginning(existing, file):
                raise RwmError("a file with other content is in its place, which was left as it is")
            file.flush()
            os.utime(file.fileno(), ns=(entry.last_modified * 1_000_000,) * 2)
            if not has_hash:
                os.fsync(file.fileno())  # after a power cut nothing else would show that it is not complete
            file.close()
            self._partial.place(entry.key, directory, name, replace=existing is not None)

    def _download(self, entry: Entry, file: IO[bytes]) -> None:
        etag = None if expected_sha256(entry.key) else entry.etag
        for attempt in range(BODY_ATTEMPTS):
            try:
                chunks = self._s3.stream(self._bucket, entry.key, entry.version_id, etag)
                _verify(entry, *self._receive(chunks, entry.size, file))
                return
            except Unreachable:  # the SDK retries up to the response headers, not the body
                wait = random.uniform(0.1, 0.2) * 2**attempt  # noqa: S311 - jitter
                if attempt == BODY_ATTEMPTS - 1 or self._stop.wait(wait):
                    raise
                file.seek(0)
                file.truncate()

    def _receive(self, chunks: Iterator[bytes], limit: int, file: IO[bytes]) -> tuple[int, str]:
        """Write the chunks; return their size in bytes and their SHA-256. Ends when they are more than the limit."""
        digest, size = hashlib.sha256(), 0
        for chunk in chunks:
            if self._stop.is_set():
                raise Cancelled("the restore was stopped")
            file.write(chunk)
            digest.update(chunk)
            size += len(chunk)
            if size > limit:
                break
        return size, digest.hexdigest()


def _verify(entry: Entry, size: int, sha256: str) -> None:
    if size != entry.size:
        raise BadResponse(f"{size} bytes received, the state has {entry.size}")
    expected = expected_sha256(entry.key)
    if expected and expected != sha256:
        raise BadResponse(f"the content does not match its name (its SHA-256 is {sha256})")
