"""Sign changed requests again; the server would refuse them, because most clients sign the Range header."""

from __future__ import annotations

from urllib.parse import urlsplit

from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as SdkCredentials

from bench.proxy.message import Head
from rwm.config import Credentials

_SIGNED_HEADERS = ("Authorization", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token", "x-amz-checksum-mode")
VALID_SECONDS = 300


def signed(head: Head, keys: Credentials, region: str) -> Head:
    """Sign a request without a body by query parameters, which cover method, path, query and host.

    Raises BadMessage.
    """
    method, target, _ = head.words
    for name in _SIGNED_HEADERS:
        head = head.replaced(name, None)
    host = head.get("Host") or ""
    request = AWSRequest(method, f"http://{host}{target}", headers={"Host": host})
    S3SigV4QueryAuth(SdkCredentials(*keys), "s3", region, expires=VALID_SECONDS).add_auth(request)
    url = urlsplit(str(request.url))
    return head.renamed(f"{url.path}?{url.query}")
