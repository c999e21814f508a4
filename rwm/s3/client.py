"""An S3 account: its client, configured by nothing in the environment but proxies and the CA bundle."""

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
from rwm.s3.objects import Objects
from rwm.s3.reader import ATTEMPTS as READER_ATTEMPTS
from rwm.s3.reader import BucketReader
from rwm.s3.versions import Versions, keep_raw_listings

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import WriteableBuffer
    from mypy_boto3_s3 import S3Client

CONNECT_TIMEOUT = 10  # seconds
READ_TIMEOUT = 60  # seconds without a byte of the response
ATTEMPTS = 4  # of each request, by the SDK
POOL_SIZE = 32
S3_SETTINGS: Any = {
    "addressing_style": "path",
    # Defaults, set here because botocore would read them from the environment otherwise.
    "s3_disable_multiregion_access_points": False,
    "us_east_1_regional_endpoint": "regional",
    "use_arn_region": False,
}


class Credentials(NamedTuple):
    """The keys of one S3 account. ``repr`` omits the secret."""

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
        self, bucket: str, attempts: int = READER_ATTEMPTS, allocate: Callable[[int], WriteableBuffer] = bytearray
    ) -> BucketReader:
        """A reader of the bucket's versions, which cannot write (:mod:`rwm.s3.reader`)."""
        return BucketReader(self.client, bucket, attempts, allocate)

    def caller_arn(self) -> str | None:
        """The ARN of this account from STS, or None where the server has no STS (Ceph RGW)."""
        endpoint = None if ".amazonaws.com" in self.endpoint_url else self.endpoint_url
        sts = _client("sts", endpoint, self.credentials, self.region)
        try:
            with mapped("GetCallerIdentity", self.endpoint_url):
                return str(sts.get_caller_identity()["Arn"])
        except (S3Error, KeyError):  # whatever the server answers, it has no usable STS
            return None


def connect(
    endpoint_url: str,
    access_key: str,
    secret_key: str,
    region: str = "us-east-1",
    *,
    attempts: int = ATTEMPTS,
    read_timeout: float = READ_TIMEOUT,
    pool_size: int = POOL_SIZE,
) -> S3:
    """A client for the account. Sends nothing. Raises UsageError for an invalid endpoint.

    ``attempts`` is the SDK's limit for each request, ``read_timeout`` the longest wait for the next bytes of a response
    in seconds, and ``pool_size`` the number of connections kept open.
    """
    credentials = Credentials(access_key, secret_key)
    with mapped("connect to", endpoint_url):
        client = _client("s3", endpoint_url, credentials, region, attempts, read_timeout, pool_size)
    keep_raw_listings(client)
    return S3(endpoint_url, credentials, region, client)


def _client(
    service: str,
    endpoint_url: str | None,
    credentials: Credentials,
    region: str,
    attempts: int = 1,
    read_timeout: float = READ_TIMEOUT,
    pool_size: int = POOL_SIZE,
) -> Any:
    """Make a client. Profiles, files and variables of the aws command are ignored: they may be of another account."""
    settings = botocore.session.Session.SESSION_VARIABLES
    variables = {
        name: (None, None, default, None) for name, (_, _, default, _) in settings.items() if name != "ca_bundle"
    }
    no_file = (None, None, os.devnull, None)
    files = {"config_file": no_file, "credentials_file": no_file}
    endpoints = {"ignore_configured_endpoint_urls": (None, None, True, None)}  # AWS_ENDPOINT_URL_STS and the like
    session = botocore.session.Session(session_vars={**variables, **files, **endpoints})
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
            max_pool_connections=pool_size,
            # Ceph RGW 16 does not know the newer trailing checksums.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            user_agent_extra=f"rwm/{__version__}",
        ),
    )
