"""Trust: the rules that tell an attack from what restic does. Pure.

May import the shared modules and ``restic``.
Begin reading at ``interface.py``: what a rule is; ``rules.py``: the rules; ``detector.py``: all of them in one pass.
"""

from rwm.trust.detector import AttackDetector
from rwm.trust.interface import KeyEvidence, Rule

__all__ = ["AttackDetector", "KeyEvidence", "Rule"]
