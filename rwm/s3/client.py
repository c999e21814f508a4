"""An S3 account: its client, configured by the settings alone and by nothing in the environment."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import Credentials as SdkCredentials

from rwm import __version__
from rwm.config import S3Settings
from rwm.errors import AccessDenied, NotFound, NotSupported, S3Error
from rwm.s3.buckets import Buckets
from rwm.s3.credentials import load_credentials
from rwm.s3.error_hints import register_hints
from rwm.s3.error_mapping import mapped
from rwm.s3.listing import UnknownKeys
from rwm.s3.reader import ATTEMPTS as READER_ATTEMPTS
from rwm.s3.reader import BucketReader
from rwm.s3.retention import Retentions
from rwm.s3.rollback import Rollback
from rwm.s3.versions import Versions, keep_raw_listings

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from _typeshed import WriteableBuffer
    from mypy_boto3_s3 import S3Client

CONNECT_TIMEOUT = 10  # seconds
READ_TIMEOUT = 60  # seconds without a byte of the response
COPY_TIMEOUT = 900  # seconds without a byte of the response to a copy: SeaweedFS answers when 5 GiB are copied
ATTEMPTS = 4  # of each request, by the SDK
POOL_SIZE = 32
S3_SETTINGS: Any = {
    # Defaults, set here because botocore would read them from the environment otherwise.
    "s3_disable_multiregion_access_points": False,
    "us_east_1_regional_endpoint": "regional",
    "use_arn_region": False,
}


class S3(Rollback, Versions, Buckets, Retentions):
    """One account on one server. Safe to share between threads."""

    def __init__(self, settings: S3Settings, client: S3Client) -> None:
        self.settings = settings
        self.endpoint_url = settings.endpoint_url
        self.region = settings.region
        self.client = client
        self.unknown_keys = UnknownKeys()

    @cached_property
    def patient(self) -> S3Client:  # type: ignore[override]
        """A client that waits longer for answers, made when it is needed."""
        config: Any = self.client.meta.config
        attempts = config.retries["total_max_attempts"]
        client: S3Client = _client("s3", self.endpoint_url, self.settings, attempts, COPY_TIMEOUT, POOL_SIZE)
        register_hints(client, self.settings)
        return client

    def reader(
        self, bucket: str, attempts: int = READER_ATTEMPTS, allocate: Callable[[int], WriteableBuffer] = bytearray
    ) -> BucketReader:
        """A reader of the bucket's versions, which cannot write (:mod:`rwm.s3.reader`)."""
        return BucketReader(self.client, bucket, attempts, allocate)

    def call(self, operation: str, *, headers: Mapping[str, str] | None = None, **parameters: Any) -> dict[str, Any]:
        """Send one request of the SDK, named as there (``put_object``), for a probe of what the account may do.

        With ``headers`` of its own no other thread may use the client meanwhile.
        """

        def add_headers(request: Any, **_: object) -> None:
            for name, value in (headers or {}).items():
                request.headers[name] = value

        events = self.client.meta.events
        events.register("before-sign.s3", add_headers)
        try:
            with mapped(operation, str(parameters.get("Bucket", self.endpoint_url))):
                return dict(getattr(self.client, operation)(**parameters))
        finally:
            events.unregister("before-sign.s3", add_headers)

    def abort_own_uploads(self, bucket: str, keys: Collection[str], since: int = 0) -> int:
        """Abort this account's unfinished uploads of these keys that began at that time or later; returns how many.

        ``since`` in milliseconds. SeaweedFS does not tell who began an upload: there everybody's count. None are found
        where the account may not list uploads, or the server does not.
        """
        try:
            listed = list(self.unfinished_uploads(bucket, by=self.owner_id())) if keys else []
        except (AccessDenied, NotSupported):
            return 0
        count = 0
        for key, upload_id, began in listed:
            if key in keys and began >= since:
                with suppress(NotFound):  # completed or aborted meanwhile
                    self.abort_upload(bucket, key, upload_id)
                    count += 1
        return count

    def caller_arn(self) -> str | None:
        """The ARN of this account from STS, or None where the server has no STS (Ceph RGW)."""
        sts = _client("sts", sts_endpoint(self.settings), self.settings)
        try:
            with mapped("GetCallerIdentity", self.endpoint_url):
                return str(sts.get_caller_identity()["Arn"])
        except (S3Error, KeyError):  # whatever the server answers, it has no usable STS
            return None


def connect(
    settings: S3Settings,
    *,
    attempts: int = ATTEMPTS,
    read_timeout: float = READ_TIMEOUT,
    pool_size: int = POOL_SIZE,
) -> S3:
    """A client for the account. Sends nothing to the server, but gets the credentials of a profile or role.

    ``attempts`` is the SDK's limit for each request, ``read_timeout`` the longest wait for the next bytes of a response
    in seconds, and ``pool_size`` the number of connections kept open. Raises UsageError for an invalid endpoint, and
    ConfigError or AccessDenied for a profile or role without credentials.
    """
    with mapped("connect to", settings.endpoint_url):
        client = _client("s3", settings.endpoint_url, settings, attempts, read_timeout, pool_size)
    keep_raw_listings(client)
    register_hints(client, settings)
    return S3(settings, client)


def sts_endpoint(settings: S3Settings) -> str:
    """The URL of STS: that of the region on AWS, elsewhere the server itself."""
    host, found, end = (urlsplit(settings.endpoint_url).hostname or "").rpartition(".amazonaws.com")
    return f"https://sts.{settings.region}.amazonaws.com{end}" if found and host else settings.endpoint_url


def _client(
    service: str,
    endpoint_url: str,
    settings: S3Settings,
    attempts: int = 1,
    read_timeout: float = READ_TIMEOUT,
    pool_size: int = POOL_SIZE,
) -> Any:
    """Make a client. Profiles, files and variables of the aws command are ignored: they may be of another account."""
    proxy = settings.proxies.choose(endpoint_url)
    ca_file = str(settings.ca_file.path) if settings.ca_file else None
    return boto3.Session(region_name=settings.region, botocore_session=_session(settings)).client(
        service,  # type: ignore[call-overload]
        endpoint_url=endpoint_url,
        verify=ca_file or True,
        config=Config(
            signature_version="s3v4" if service == "s3" else None,
            s3={**S3_SETTINGS, "addressing_style": settings.addressing},  # type: ignore[arg-type]  # a TypedDict
            proxies={urlsplit(endpoint_url).scheme: proxy} if proxy else {},
            proxies_config={"proxy_ca_bundle": ca_file} if ca_file else None,
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


def _session(settings: S3Settings) -> botocore.session.Session:
    """A session that reads no file and no variable, with the credentials of the settings."""
    variables = {
        name: (None, None, default, None)
        for name, (_, _, default, _) in botocore.session.Session.SESSION_VARIABLES.items()
    }
    no_file = (None, None, os.devnull, None)
    files = {"config_file": no_file, "credentials_file": no_file}
    endpoints = {"ignore_configured_endpoint_urls": (None, None, True, None)}  # AWS_ENDPOINT_URL_STS and the like
    session = botocore.session.Session(session_vars={**variables, **files, **endpoints})
    session.register_component("credential_provider", _Loaded(load_credentials(settings)))
    return session


class _Loaded:
    """What a session asks for credentials; they may renew themselves."""

    def __init__(self, credentials: SdkCredentials) -> None:
        self._credentials = credentials

    def load_credentials(self) -> SdkCredentials:
        """Called by botocore."""
        return self._credentials
