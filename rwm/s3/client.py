"""The connection: a client that takes nothing from the environment but proxies and the CA bundle."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

import boto3
import botocore.session
from botocore.config import Config

from rwm import __version__
from rwm.errors import S3Error
from rwm.s3.buckets import Buckets
from rwm.s3.error_mapping import mapped
from rwm.s3.objects import BODY_ATTEMPTS, BucketReader, Objects
from rwm.s3.versions import Versions, keep_raw_listings

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import WriteableBuffer
    from mypy_boto3_s3 import S3Client

CONNECT_TIMEOUT = 10  # seconds
READ_TIMEOUT = 60  # seconds between two pieces of an answer
ATTEMPTS = 4
POOL = 32
S3_SETTINGS: Any = {
    "addressing_style": "path",
    # Said here only because botocore would take them from the environment otherwise.
    "s3_disable_multiregion_access_points": False,
    "us_east_1_regional_endpoint": "regional",
    "use_arn_region": False,
}


class Credentials(NamedTuple):
    """The keys of one S3 account. Never shown: the secret is left out of ``repr``."""

    access_key: str
    secret_key: str

    def __repr__(self) -> str:
        return f"Credentials({self.access_key!r}, …)"


class S3(Objects, Versions, Buckets):
    """One account on one server. Safe to share between threads."""

    def __init__(self, endpoint_url: str, credentials: Credentials, region: str, client: S3Client) -> None:
        self.endpoint_url = endpoint_url
        self.credentials = credentials
        self.region = region
        self.client = client

    def reader(
        self, bucket: str, attempts: int = BODY_ATTEMPTS, allocate: Callable[[int], WriteableBuffer] = bytearray
    ) -> BucketReader:
        """Something that can read the bucket's versions and nothing else."""
        return BucketReader(self.client, bucket, attempts, allocate)

    def caller_arn(self) -> str | None:
        """The ARN of this account as STS tells it, or None where the server has no STS (Ceph RGW)."""
        endpoint = None if ".amazonaws.com" in self.endpoint_url else self.endpoint_url
        sts = _client("sts", endpoint, self.credentials, self.region)
        try:
            with mapped("GetCallerIdentity", self.endpoint_url):
                return str(sts.get_caller_identity()["Arn"])
        except (S3Error, KeyError):  # whatever this server says to STS, it does not tell who we are
            return None


def connect(
    endpoint_url: str,
    access_key: str,
    secret_key: str,
    region: str = "us-east-1",
    *,
    attempts: int = ATTEMPTS,
    read_timeout: float = READ_TIMEOUT,
    pool: int = POOL,
) -> S3:
    """A client for that account; nothing is sent yet. Raises UsageError for an impossible endpoint.

    ``attempts`` is the SDK's limit for each request, ``read_timeout`` the longest wait for the next bytes of a response
    in seconds, and ``pool`` the number of connections kept open.
    """
    credentials = Credentials(access_key, secret_key)
    with mapped("connect to", endpoint_url):
        client = _client("s3", endpoint_url, credentials, region, attempts, read_timeout, pool)
    keep_raw_listings(client)
    return S3(endpoint_url, credentials, region, client)


def _client(
    service: str,
    endpoint_url: str | None,
    credentials: Credentials,
    region: str,
    attempts: int = 1,
    read_timeout: float = READ_TIMEOUT,
    pool: int = POOL,
) -> Any:
    """Profiles, files and variables of the aws command are not looked at: they belong to somebody else."""
    settings = botocore.session.Session.SESSION_VARIABLES
    ours = {name: (None, None, default, None) for name, (_, _, default, _) in settings.items() if name != "ca_bundle"}
    nothing = (None, None, os.devnull, None)
    files = {"config_file": nothing, "credentials_file": nothing}
    elsewhere = {"ignore_configured_endpoint_urls": (None, None, True, None)}  # AWS_ENDPOINT_URL_STS and the like
    session = botocore.session.Session(session_vars={**ours, **files, **elsewhere})
    return boto3.Session(
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret_key,
        region_name=region,
        botocore_session=session,
    ).client(
        service,  # type: ignore[call-overload]
        endpoint_url=endpoint_url,
        config=Config(
            signature_version="s3v4" if service == "s3" else None,
            s3=S3_SETTINGS,
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=read_timeout,
            retries={"mode": "standard", "total_max_attempts": attempts},
            max_pool_connections=pool,
            # Ceph RGW 16 does not know the newer trailing checksums.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            user_agent_extra=f"rwm/{__version__}",
        ),
    )
