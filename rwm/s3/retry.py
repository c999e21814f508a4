"""Retries with backoff while a server gives no usable answer."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from rwm.errors import Unreachable

T = TypeVar("T")
_FIRST_PAUSE = 1.0  # seconds
_LONGEST_PAUSE = 30.0
_log = logging.getLogger("rwm.s3")


class RetryMixin:
    """Retries a request. A part of :class:`rwm.s3.S3`."""

    retry_seconds = 300.0
    """How long a page of a listing is retried, in addition to the retries of botocore, which take a few seconds."""

    sleep: Callable[[float], None] = staticmethod(time.sleep)
    _has_answered = False

    def retry(self, request: Callable[[], T], operation: str) -> T:
        """The result of ``request``, repeated after Unreachable for :attr:`retry_seconds`; other errors are raised.

        Pauses double from 1 s to 30 s. There is no retry before the first answer of a server: a wrong endpoint is
        more likely than a network failure. ``operation`` names the request in the log.
        """
        pause, started, is_logged = _FIRST_PAUSE, time.monotonic(), False
        while True:
            try:
                result = request()
            except Unreachable:
                left = self.retry_seconds - (time.monotonic() - started)
                if left <= 0 or not self._has_answered:
                    raise
                if not is_logged:
                    _log.warning("%s: no usable answer, retrying for %.0f seconds", operation, left)
                    is_logged = True
                self.sleep(min(pause * random.uniform(0.5, 1.0), left))  # noqa: S311 - jitter
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                self._has_answered = True
                return result
