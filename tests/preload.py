"""What commands need, imported once: by the process from which :mod:`tests.programs` forks them."""

from __future__ import annotations

import gc

import tests.mount.impatient
import tests.mount.serve
import tests.programs  # noqa: F401
from tests import sdk

sdk.preload()
gc.freeze()
