"""What commands need, imported once: by the process from which :mod:`tests.programs` forks them."""

from __future__ import annotations

import gc
import importlib

from tests import programs, sdk

ROOMS = ["backup", "console", "demo", "embedded", "index", "restic", "restore", "retention", "s3", "states", "storage"]

for _module in (*programs.MAIN.values(), *(f"rwm.{room}" for room in ROOMS), "rwmfs.mount.session"):
    importlib.import_module(_module)
sdk.preload()
gc.freeze()
