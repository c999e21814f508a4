"""A slow or faulty network on loopback: an HTTP/1.1 proxy for an S3 server, with latency, rate and faults by rule.

    with Proxy(endpoint, latency=0.08, rate=12e6) as proxy:
        proxy.add(Rule(Status(503, "SlowDown"), matching("GET", "^/bucket1/data/"), count=2))
        s3 = connect(S3Settings(proxy.url, …))

Requests are forwarded unchanged, so clients sign for the address of the proxy and the server checks that signature.
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
    ShiftDate,
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
from bench.proxy.traffic import RequestRecord, TrafficTotal

__all__ = [
    "Action",
    "Close",
    "Flip",
    "IgnoreRange",
    "Lengthen",
    "Proxy",
    "RemoteProxy",
    "Request",
    "RequestRecord",
    "Reset",
    "Rule",
    "ShiftDate",
    "Shorten",
    "Stall",
    "Status",
    "TrafficTotal",
    "Wrong",
    "WrongRange",
    "WrongVersion",
    "matching",
    "proxy_process",
]
