"""The commands of ``rwm``, one module for each group or larger command: parse, call a service, print.

May import everything but ``rwmfs``; what a command needs is imported when it runs.
Begin reading at ``main.py``.
"""
