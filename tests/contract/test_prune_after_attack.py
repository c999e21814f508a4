"""Prune after an unnoticed attack, when the newest state is what the attacker left."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from rwm import retention
from rwm.index import Index
from rwm.location import Location
from rwm.s3 import S3
from rwm.states.capture import capture_state
from rwm.storage import create_storage
from tests.contract.buckets import unique
from tests.servers import Server


def pack(content: bytes) -> str:
    name = hashlib.sha256(content).hexdigest()
    return f"data/{name[:2]}/{name}"


def overwrite(user: S3, bucket: str, keys: list[str]) -> None:
    for key in keys:
        user.put(bucket, key, os.urandom(20))


def delete_config(user: S3, bucket: str, keys: list[str]) -> None:
    user.delete(bucket, "config")


def delete_data(user: S3, bucket: str, keys: list[str]) -> None:
    for key in keys:
        if key.startswith("data/"):
            user.delete(bucket, key)


@pytest.mark.parametrize(
    ("attack", "sign"),
    [
        (overwrite, "overwritten with other content"),
        (delete_config, "has no config"),
        (delete_data, "which this would end"),
    ],
)
def test_prune_is_refused(
    server: Server, tmp_path: Path, attack: Callable[[S3, str, list[str]], None], sign: str
) -> None:
    admin, user, bucket = server.connect(), server.connect("user1"), unique("attacked")
    create_storage(admin, bucket, "user1")
    contents = [bytes([n]) * 10 for n in range(5)]
    keys = ["config", *(pack(content) for content in contents)]
    user.put(bucket, "config", b"the repository")
    for content in contents:
        user.put(bucket, pack(content), content)
    with Index.open(tmp_path / "index.sqlite") as index:
        capture_state(admin, index, Location(bucket))
        keep = retention.select_kept_states(index, Location(bucket), last=1, named=[])
        assert retention.plan_prune(admin, index, Location(bucket), keep).findings == ()
        attack(user, bucket, keys)
        capture_state(admin, index, Location(bucket))
        capture_state(admin, index, Location(bucket))  # time alone makes nothing better
        plan = retention.plan_prune(
            admin, index, Location(bucket), retention.select_kept_states(index, Location(bucket), last=1, named=[])
        )
        assert plan.refused == ()
        assert any(sign in finding for finding in plan.findings), plan.findings
