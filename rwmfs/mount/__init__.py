"""The life of a mount: from a request to the background process, the session and a clean end.

May import all rooms of rwmfs but ``cli``; ``rwm.index`` and ``rwm.s3`` to open them.
Begin reading at ``start.py``, then ``session.py``.
"""

from rwmfs.mount.daemon import in_background
from rwmfs.mount.logs import default_log_path
from rwmfs.mount.mountpoint import prepare_mountpoint, unmount
from rwmfs.mount.request import Request
from rwmfs.mount.start import expect_questions, serve_mount

__all__ = [
    "Request",
    "default_log_path",
    "expect_questions",
    "in_background",
    "prepare_mountpoint",
    "serve_mount",
    "unmount",
]
