"""RWM, the restic WORM manager.

A sub-package is a room: one domain, whose ``__init__`` exports what other rooms may import. The modules beside the
rooms (errors, model, times, names, config, private) are the shared modules, which every room may import.
Begin reading at ``docs/architecture.md``, or at ``cli`` for the commands.
"""

__version__ = "2.0.0.dev0"
