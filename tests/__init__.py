"""`unit` mirrors the rooms, `contract` runs on every server, `mount` in the kernel, `e2e` types commands."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
"""The checkout."""
