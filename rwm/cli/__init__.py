"""The commands of ``rwm``, one module for each group or larger command: parse, call a service, print.

May import every room of rwm; within functions, so that ``--help`` is quick.
Begin reading at ``main.py``.
"""
