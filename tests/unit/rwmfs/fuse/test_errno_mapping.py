"""Errors of handlers as errnos."""

from __future__ import annotations

import errno
import logging
import os

import pytest

from rwm.errors import AccessDenied, Archived, NotFound
from tests.unit.rwmfs.fuse.mounted import CONTEXT, Mounted, mounted, refused


@mounted
async def test_errors_of_s3_are_eio(fs: Mounted) -> None:
    opened = await fs.ops.open(await fs.inode("config"), os.O_RDONLY, CONTEXT)
    for error in (AccessDenied("no"), NotFound("the version is gone"), PermissionError("odd"), KeyError("odd")):

        def fault(*_: object, error: Exception = error) -> None:
            raise error

        fs.bucket.fault = fault
        await refused(errno.EIO, fs.ops.read(opened.fh, 0, 10))
    fs.bucket.fault = lambda *_: None
    assert bytes(await fs.ops.read(opened.fh, 0, 10)) == b"configurat"


@mounted
async def test_an_archived_object_is_eacces_which_restic_does_not_retry(fs: Mounted) -> None:
    opened = await fs.ops.open(await fs.inode("config"), os.O_RDONLY, CONTEXT)

    def fault(*_: object) -> None:
        raise Archived("InvalidObjectState")

    fs.bucket.fault = fault
    await refused(errno.EACCES, fs.ops.read(opened.fh, 0, 10))


def test_an_unexpected_exception_is_eio_with_a_traceback_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    @mounted
    async def test(fs: Mounted) -> None:
        await refused(errno.EIO, fs.ops.read(4711, 0, 10))

    test()
    assert caplog.records[-1].levelno == logging.ERROR
    assert caplog.records[-1].exc_info
