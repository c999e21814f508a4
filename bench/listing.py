"""Listing versions: CPU time per version of RWM's raw-body parser beside boto3's paginator, on the same pages."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import boto3
from botocore.config import Config

from bench.pages import PAGE, serving
from rwm.s3 import connect

PAGES = 20
ROUNDS = 3


def ours(url: str) -> Callable[[], int]:
    """Counts the versions with RWM's adapter."""
    s3 = connect(url, "key", "secret")
    return lambda: sum(1 for _ in s3.versions("b"))


def paginator(url: str) -> Callable[[], int]:
    """Counts the versions with boto3's paginator."""
    client = boto3.client(
        "s3",
        endpoint_url=url,
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}),
    )
    paginator = client.get_paginator("list_object_versions")
    return lambda: sum(len(page["Versions"]) for page in paginator.paginate(Bucket="b"))


def cpu(listing: Callable[[], int]) -> float:
    """Microseconds of this process's CPU for each version listed."""
    started = time.process_time()
    count = listing()
    used = time.process_time() - started
    assert count == PAGES * PAGE, count
    return used / count * 1e6


def main() -> None:
    """Print the median of a few rounds, each with both."""
    with serving(PAGES) as url:
        peers = (ours(url), paginator(url))
        rounds = [[cpu(listing) for listing in peers] for _ in range(ROUNDS)]
    mine, peer = (statistics.median(values) for values in zip(*rounds, strict=True))
    print(f"listing {PAGES * PAGE} versions, CPU per version, median of {ROUNDS}:")
    print(f"  boto3 paginator   {peer:7.1f} µs   1.00")
    print(f"  rwm               {mine:7.1f} µs   {mine / peer:.2f}")
