"""The life of a mount: the request, the background process, the session, and the end of a mount.

May import the shared modules, ``rwm.console``, ``rwm.process``, ``rwm.index``, ``rwm.s3``, ``cache``, ``fuse``,
``read``, ``tree``; heavy ones within functions, so that ``rwmfs umount`` is quick.
Begin reading at ``start.py``: from a request to a running mount; then ``session.py``.
"""

from rwmfs.mount.daemon import run_in_background
from rwmfs.mount.logs import prepare_log_path
from rwmfs.mount.mountpoint import prepare_mountpoint, unmount
from rwmfs.mount.request import MountRequest
from rwmfs.mount.start import ignore_counters_signal, serve_mount

__all__ = [
    "MountRequest",
    "ignore_counters_signal",
    "prepare_log_path",
    "prepare_mountpoint",
    "run_in_background",
    "serve_mount",
    "unmount",
]
