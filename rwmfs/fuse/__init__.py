"""The FUSE adapter, the only owner of pyfuse3: handlers, attributes, errnos, dentry invalidation, the session loop.

May import the shared modules, ``tree``, ``read``. It decides nothing about content.
Begin reading at ``operations.py``: the handlers that read; ``write_handlers.py`` has the others.
"""

from rwmfs.fuse.operations import Operations
from rwmfs.fuse.session_loop import answer_requests, mount, unmount

__all__ = ["Operations", "answer_requests", "mount", "unmount"]
