"""Who lists versions: RWM, and the tools it is compared with. Each is told what to list and says what it took."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import boto3
from botocore.config import Config

from bench import child
from rwm import process
from rwm.s3 import Credentials, connect
from rwm.s3.client import S3_SETTINGS


class Taken(NamedTuple):
    """One listing: how many versions, seconds of CPU of whoever listed, seconds on the clock."""

    versions: int
    cpu: float
    wall: float


class Target(NamedTuple):
    """A bucket to list. ``few`` is a prefix with hardly anything below it: it shows what starting a program costs."""

    endpoint: str
    credentials: Credentials
    bucket: str
    few: str


RCLONE_REMOTE = "X"

Peer = Callable[[Target, str], Taken]
"""Lists what is below a prefix of the target's bucket."""


def rwm(target: Target, prefix: str) -> Taken:
    """RWM's adapter, in this process."""
    s3 = connect(target.endpoint, *target.credentials)
    return _here(lambda: sum(1 for _ in s3.versions(target.bucket, prefix)))


def boto3_paginator(target: Target, prefix: str) -> Taken:
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
    return _here(lambda: sum(len(page.get("Versions", [])) for page in pages))


def _here(listing: Callable[[], int]) -> Taken:
    wall, cpu = time.perf_counter(), time.process_time()
    versions = listing()
    return Taken(versions, time.process_time() - cpu, time.perf_counter() - wall)


def aws(target: Target, prefix: str) -> Taken:
    """``aws s3api list-object-versions``, which prints JSON."""
    env = _environment() | {
        "AWS_ACCESS_KEY_ID": target.credentials.access_key,
        "AWS_SECRET_ACCESS_KEY": target.credentials.secret_key,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_PAGER": "",
    }
    command = ["s3api", "list-object-versions", "--output", "json", "--endpoint-url", target.endpoint]
    used = child.run([aws_program(), *command, "--bucket", target.bucket, "--prefix", prefix], env)
    answer = json.loads(used.output or "{}")
    return Taken(len(answer.get("Versions", [])), used.cpu, used.wall)


def rclone(target: Target, prefix: str) -> Taken:
    """``rclone lsf --s3-versions -R``, which prints names."""
    where = f"{RCLONE_REMOTE}:{target.bucket}/{prefix}"
    env = rclone_environment(target.endpoint, target.credentials)
    used = child.run([rclone_program(), "lsf", "--s3-versions", "-R", "--files-only", where], env)
    return Taken(len(used.output.splitlines()), used.cpu, used.wall)


def rclone_environment(endpoint: str, credentials: Credentials) -> dict[str, str]:
    """An environment in which rclone knows the server as :data:`RCLONE_REMOTE`, and no configuration of the user's."""
    settings = {
        "TYPE": "s3",
        "PROVIDER": "Other",
        "ENDPOINT": endpoint,
        "ACCESS_KEY_ID": credentials.access_key,
        "SECRET_ACCESS_KEY": credentials.secret_key,
        "REGION": "us-east-1",
        "FORCE_PATH_STYLE": "true",
    }
    named = {f"RCLONE_CONFIG_{RCLONE_REMOTE}_{name}": value for name, value in settings.items()}
    return _environment() | {"RCLONE_CONFIG": os.devnull} | named


def _environment() -> dict[str, str]:
    """Ours without what these tools would take for their own."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RCLONE_"))}


def aws_program() -> str:
    """Debian's own, which ``make`` installs, or the one on the PATH."""
    debian = Path("/usr/bin/aws")
    return str(debian) if debian.exists() else process.find_program("aws")


def rclone_program() -> str:
    """The one beside our Python, where pip puts it, or on the PATH."""
    return process.find_beside_python("rclone") or process.find_program("rclone")


def version(program: str, question: str = "--version") -> str:
    """``aws-cli/2.9.19``, ``rclone v1.75.2`` or ``restic 0.14.0``: the first words of its answer to the question."""
    line = (child.run([program, question], _environment()).output.splitlines() or [""])[0]
    return line.split(" Python")[0].split(" compiled")[0]
