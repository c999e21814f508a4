"""Defaults of the options of a mount that more than one room needs."""

from __future__ import annotations

CONNECTIONS = 16
"""Requests to S3 at once."""

PATIENCE = 300.0
"""How long a server that does not answer is asked again before the reader gets an error, and how long a single answer
may take: one that sends a byte now and then would otherwise hold a reader for ever. Who waits for a connection waits on
as long as others get answers."""
