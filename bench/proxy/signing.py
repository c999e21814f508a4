"""A request that was changed is signed anew, or the server would refuse it: most clients sign the Range header."""

from __future__ import annotations

from urllib.parse import urlsplit

from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from bench.proxy.message import Head

_OLD = ("Authorization", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token", "x-amz-checksum-mode")
VALID = 300  # seconds


def signed(head: Head, keys: tuple[str, str], region: str) -> Head:
    """The same request, of one without a body, with its signature in the target: it covers method, path, query, host.

    Raises BadMessage.
    """
    method, target, _ = head.words
    for name in _OLD:
        head = head.replaced(name, None)
    host = head.get("Host") or ""
    request = AWSRequest(method, f"http://{host}{target}", headers={"Host": host})
    S3SigV4QueryAuth(Credentials(*keys), "s3", region, expires=VALID).add_auth(request)
    url = urlsplit(str(request.url))
    return head.renamed(f"{url.path}?{url.query}")
