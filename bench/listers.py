"""The listers of versions that are compared: RWM, boto3, aws and rclone. Each returns what a listing cost."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from typing import NamedTuple

import boto3
from botocore.config import Config

from bench import processes
from bench.programs import RCLONE_REMOTE, aws_program, clean_environment, rclone_environment, rclone_program
from rwm.config import Credentials, S3Settings
from rwm.s3 import connect
from rwm.s3.client import S3_SETTINGS


class ListingCosts(NamedTuple):
    """One listing: number of versions, seconds of CPU of the lister, seconds of wall time."""

    versions: int
    cpu: float
    wall: float


class Target(NamedTuple):
    """A bucket to list. ``few`` is a prefix with hardly any keys: listing it measures the start-up of a program."""

    endpoint: str
    credentials: Credentials
    bucket: str
    few: str


Lister = Callable[[Target, str], ListingCosts]
"""Lists the versions with a prefix in the bucket of the target."""


def rwm(target: Target, prefix: str) -> ListingCosts:
    """RWM's S3 client, in this process."""
    s3 = connect(S3Settings(target.endpoint, target.credentials))
    return _measure(lambda: sum(1 for _ in s3.versions(target.bucket, prefix)))


def boto3_paginator(target: Target, prefix: str) -> ListingCosts:
    """boto3's paginator, in this process."""
    client = boto3.client(
        "s3",
        endpoint_url=target.endpoint,
        aws_access_key_id=target.credentials.access_key,
        aws_secret_access_key=target.credentials.secret_key,
        region_name="us-east-1",
        config=Config(s3=S3_SETTINGS),
    )
    pages = client.get_paginator("list_object_versions").paginate(Bucket=target.bucket, Prefix=prefix)
    return _measure(lambda: sum(len(page.get("Versions", [])) for page in pages))


def _measure(listing: Callable[[], int]) -> ListingCosts:
    wall, cpu = time.perf_counter(), time.process_time()
    versions = listing()
    return ListingCosts(versions, time.process_time() - cpu, time.perf_counter() - wall)


def aws(target: Target, prefix: str) -> ListingCosts:
    """``aws s3api list-object-versions``, which prints JSON."""
    env = clean_environment() | {
        "AWS_ACCESS_KEY_ID": target.credentials.access_key,
        "AWS_SECRET_ACCESS_KEY": target.credentials.secret_key,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_PAGER": "",
    }
    command = ["s3api", "list-object-versions", "--output", "json", "--endpoint-url", target.endpoint]
    used = processes.run_measured([aws_program(), *command, "--bucket", target.bucket, "--prefix", prefix], env)
    answer = json.loads(used.output or "{}")
    return ListingCosts(len(answer.get("Versions", [])), used.cpu, used.wall)


def rclone(target: Target, prefix: str) -> ListingCosts:
    """``rclone lsf --s3-versions -R``, which prints names."""
    where = f"{RCLONE_REMOTE}:{target.bucket}/{prefix}"
    env = rclone_environment(target.endpoint, target.credentials)
    used = processes.run_measured([rclone_program(), "lsf", "--s3-versions", "-R", "--files-only", where], env)
    return ListingCosts(len(used.output.splitlines()), used.cpu, used.wall)
