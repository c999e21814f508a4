"""Defaults of mount options that several rooms need."""

from __future__ import annotations

CONNECTIONS = 16
"""Parallel requests to S3."""

FETCH_TIMEOUT = 300.0
"""Seconds that one fetch may take, with all its retries; then the read gets an error. It also ends a response that
trickles in. Time spent waiting for a free connection does not count while other fetches get responses."""
