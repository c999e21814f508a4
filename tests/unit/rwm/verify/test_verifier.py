"""Who verifies."""

from __future__ import annotations

import socket

import pytest

from rwm.errors import AccessDenied
from rwm.verify import describe_verifier
from tests.unit.memory import MemoryS3


def test_the_account_and_the_computer(monkeypatch: pytest.MonkeyPatch) -> None:
    s3 = MemoryS3("bucket1")
    assert describe_verifier(s3) == f"{s3.owner_id()}@{socket.gethostname()}"

    def denied() -> str:
        raise AccessDenied("ListBuckets is denied")

    for answer in (denied, lambda: ""):
        monkeypatch.setattr(s3, "owner_id", answer)
        assert describe_verifier(s3) == socket.gethostname()
