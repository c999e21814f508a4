"""Trust: the rules that tell an attack from what restic does. Pure.

May import the shared words and ``restic``.
Begin reading at ``rules.py``.
"""

from rwm.trust.rules import Watch

__all__ = ["Watch"]
