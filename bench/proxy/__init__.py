"""A bad network on loopback: an HTTP/1.1 proxy before an S3 server, with delays, a rate, and faults by rule.

    with Proxy(endpoint, latency=0.08, rate=12e6) as proxy:
        proxy.add(Rule(Status(503, "SlowDown"), matching("GET", "^/bucket1/data/"), count=2))
        s3 = connect(proxy.url, …)

Requests pass unchanged, so clients sign for the proxy's address and the server checks what they signed.
"""

from bench.proxy.faults import (
    Action,
    Close,
    Flip,
    IgnoreRange,
    Lengthen,
    Request,
    Reset,
    Rule,
    Shorten,
    Stall,
    Status,
    Wrong,
    WrongRange,
    WrongVersion,
    matching,
)
from bench.proxy.remote import RemoteProxy, proxy_process
from bench.proxy.server import Proxy
from bench.proxy.traffic import Seen, Total

__all__ = [
    "Action",
    "Close",
    "Flip",
    "IgnoreRange",
    "Lengthen",
    "Proxy",
    "RemoteProxy",
    "Request",
    "Reset",
    "Rule",
    "Seen",
    "Shorten",
    "Stall",
    "Status",
    "Total",
    "Wrong",
    "WrongRange",
    "WrongVersion",
    "matching",
    "proxy_process",
]
