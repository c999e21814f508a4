"""The commands of ``rwmfs``, and ``mount.rwmfs``, the helper of mount(8).

May import the shared modules, ``rwm.console``, ``rwm.index``, ``mount``, ``cache``; within functions, so
that help is quick.
Begin reading at ``main.py``.
"""
