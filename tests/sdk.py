"""The SDK's descriptions of its services: parsing them is nearly all that a new client costs."""

from __future__ import annotations

import functools

import botocore.session
from botocore.loaders import create_loader


def parse_once() -> None:
    """All clients of this process share what was parsed."""
    botocore.session.create_loader = functools.cache(create_loader)


def preload() -> None:
    """Parse them now, for processes that are forked from this one."""
    parse_once()
    for service in ("s3", "sts"):
        botocore.session.get_session().create_client(service, region_name="us-east-1")
