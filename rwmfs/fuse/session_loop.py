"""Mounting, the loop that answers the kernel's requests, and unmounting. A process has one mount at most."""

from __future__ import annotations

import contextlib
import select
from pathlib import Path

import pyfuse3
import trio

from rwm.errors import MountError
from rwmfs.fuse.operations import Operations

FUSE_DEVICE = Path("/dev/fuse")

MAX_TASKS = 256
"""Requests to answer concurrently. Reads that wait for S3 must not block the others."""

HANGUP_POLL = 0.5
"""Seconds between two checks whether the kernel has closed the connection."""


def mount(operations: Operations, mountpoint: Path, options: set[str]) -> None:
    """Mount with options of mount.fuse3(8); raises MountError. Requests are answered by :func:`answer_requests`."""
    try:
        pyfuse3.init(operations, str(mountpoint), options)
    except RuntimeError as error:
        raise MountError(
            f"cannot mount at {mountpoint}: {error}",
            hint="is there a /dev/fuse, and fusermount3 (package fuse3)? --allow-other needs user_allow_other in "
            "/etc/fuse.conf unless you are root",
        ) from None


async def answer_requests() -> None:
    """Answer requests until the filesystem is unmounted."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_cancel_on_hangup, nursery.cancel_scope)
        await pyfuse3.main(max_tasks=MAX_TASKS)
        nursery.cancel_scope.cancel()


def unmount() -> None:
    """Close the connection to the kernel, and unmount if still mounted (lazily if in use)."""
    pyfuse3.close(unmount=True)


async def _cancel_on_hangup(scope: trio.CancelScope) -> None:
    """Cancel once the kernel has closed the connection.

    pyfuse3 notices that too, but first waits for all running reads, even those of killed programs from a silent server.
    """
    device = select.poll()
    device.register(_device_fd(), 0)  # POLLERR is reported without being asked for
    while not device.poll(0):
        await trio.sleep(HANGUP_POLL)
    scope.cancel()


def _device_fd() -> int:
    """The file descriptor of the connection to the kernel; raises MountError."""
    for name in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the descriptor of this listing
            if name.readlink() == FUSE_DEVICE:
                return int(name.name)
    raise MountError(f"{FUSE_DEVICE} is not open")
