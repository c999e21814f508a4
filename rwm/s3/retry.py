"""Waiting for a server that does not answer: what failed is asked again, and nothing else is."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from rwm.errors import Unreachable

T = TypeVar("T")
_FIRST = 1.0
_LONGEST = 30.0
_log = logging.getLogger("rwm.s3")


class RetryMixin:
    """What asks again. A part of :class:`rwm.s3.S3`."""

    patience = 300.0
    """Seconds for which a page of a listing is asked for again, on top of what botocore does within a few."""

    sleep: Callable[[float], None] = staticmethod(time.sleep)
    _answered = False

    def again(self, ask: Callable[[], T], what: str) -> T:
        """The answer, however late. Raises Unreachable when none came for :attr:`patience` seconds; others at once.

        A server that never answered is not waited for: the endpoint is wrong more often than the network fails.
        """
        pause, began, told = _FIRST, time.monotonic(), False
        while True:
            try:
                answer = ask()
            except Unreachable:
                left = self.patience - (time.monotonic() - began)
                if left <= 0 or not self._answered:
                    raise
                if not told:
                    _log.warning("%s: no usable answer, asking again for %.0f seconds", what, left)
                    told = True
                self.sleep(min(pause * random.uniform(0.5, 1.0), left))  # noqa: S311 - so that not all ask at once
                pause = min(pause * 2, _LONGEST)
            else:
                self._answered = True
                return answer
