"""rwmfs, the filesystem: recorded states of a bucket as read-only directories.

Sub-packages are rooms, as in ``rwm``. Every room may import the shared modules: those of ``rwm``, and
those beside the rooms (buffer_pool, defaults, object_id).
Begin reading at ``mount/start.py``: from a request to a running mount.
"""
