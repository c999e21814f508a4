"""Record an operation while it runs: in the index, which is trusted, and in the bucket, for other computers."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, closing
from itertools import chain
from types import TracebackType
from typing import IO, Self

from rwm.errors import RwmError
from rwm.index import Index
from rwm.location import Location
from rwm.model import Operation, OperationChange
from rwm.operations.record_file import change_text, record_key, record_lines
from rwm.private import path_of, temporary_file
from rwm.s3 import S3
from rwm.statefile import gzip_writer

_NOT_IN_INDEX = frozenset(("deleted", "locked", "left"))


def new_operation(s3: S3, kind: str, location: Location, note: str = "") -> Operation:
    """An operation that begins now, by the server's clock. ``kind`` has lowercase letters and hyphens."""
    return Operation(secrets.token_hex(8), kind, location, s3.server_time(location.bucket), s3.owner_id(), note)


def begin_operation(
    s3: S3, index: Index, operation: Operation, planned: Iterable[OperationChange] = ()
) -> OperationLog:
    """Record that the operation begins and what it plans. Call it before the first change.

    Raises the errors of the index and of S3: what cannot be recorded must not begin, and leaves no record in the index.
    """
    index.operations.begin(operation)
    try:
        with temporary_file() as file:
            _write(file, record_lines(operation, planned))
            s3.upload(operation.location.bucket, record_key(operation), path_of(file))
        return OperationLog(s3, index, operation)
    except RwmError:
        index.operations.cancel(operation)
        raise


def resume_operation(s3: S3, index: Index, operation: Operation) -> OperationLog:
    """The record of an operation that was interrupted, to be completed: what the index has of it is in it already."""
    log = OperationLog(s3, index, operation)
    with ExitStack() as stack:
        stack.callback(log.close)
        for _, change in index.operations.changes(operation.location, operation.id):
            log.keep(change)
        stack.pop_all()
    return log


class OperationLog:
    """The record of an operation that runs. One thread at a time. A context manager: a normal exit ends the record.

    Versions that were removed and states that were locked are recorded in the bucket alone: an audit does not need them
    as changes, and they may be many.
    """

    def __init__(self, s3: S3, index: Index, operation: Operation) -> None:
        self.operation = operation
        self._s3 = s3
        self._index = index
        self._done = temporary_file()

    def add(self, changes: Sequence[OperationChange]) -> None:
        """Record what was done, many changes at a time: the index writes them in one transaction."""
        self._index.operations.add(self.operation.id, [each for each in changes if each.did not in _NOT_IN_INDEX])
        self._done.write("".join(map(change_text, changes)).encode())

    def keep(self, change: OperationChange) -> None:
        """Take over a change that the index has."""
        self._done.write(change_text(change).encode())

    def close(self) -> None:
        """Free the space. The record stays as of an operation that was interrupted."""
        self._done.close()

    def end(self) -> None:
        """Record that the operation has ended, and write all that was done to the bucket."""
        ended = self.operation._replace(ended_at=self._s3.server_time(self.operation.location.bucket))
        with temporary_file() as file:
            self._done.seek(0)
            _write(file, chain(record_lines(ended, ()), iter(lambda: self._done.read(1 << 18), b"")))
            self._s3.upload(ended.location.bucket, record_key(ended), path_of(file))
        self._index.operations.end(ended)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with closing(self):
            if error is None:
                self.end()


def _write(file: IO[bytes], content: Iterable[bytes]) -> None:
    with gzip_writer(file) as out:
        for piece in content:
            out.write(piece)
    file.flush()
