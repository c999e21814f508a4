"""Who verifies: the account on the server, and this computer."""

from __future__ import annotations

import socket
from contextlib import suppress

from rwm.errors import S3Error
from rwm.s3 import S3


def describe_verifier(s3: S3) -> str:
    """``admin@host1``; only the name of the computer where the server does not tell the account."""
    account = ""
    with suppress(S3Error):
        account = s3.owner_id()
    return f"{account}@{socket.gethostname()}" if account else socket.gethostname()
