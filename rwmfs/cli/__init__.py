"""The commands of ``rwmfs``, and ``mount.rwmfs``, the helper of mount(8).

May import ``rwm.console`` and all rooms of rwmfs; what a command needs is imported when it runs.
Begin reading at ``main.py``.
"""
