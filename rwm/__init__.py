"""RWM, the restic WORM manager."""

__version__ = "2.0.0.dev0"
