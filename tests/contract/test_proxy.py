"""The proxy before a real server, which checks what clients have signed for the proxy's address."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import pytest

from bench.proxy import IgnoreRange, Proxy, Reset, Rule, Status, WrongRange, WrongVersion, matching
from rwm.config import S3Settings
from rwm.errors import AccessDenied, BadResponse, S3Error
from rwm.s3 import S3, connect
from tests.contract.buckets import versioned
from tests.servers import Server

KEY = "data/a b/ü+~%2F"
DATA = random.Random(1).randbytes(3 << 20)


@pytest.fixture(params=[(0.0, None), (0.02, 50e6)], ids=["without delay", "with delay"])
def proxy(seaweedfs: Server, request: pytest.FixtureRequest) -> Iterator[Proxy]:
    """A proxy that signs changed requests again."""
    latency, rate = request.param
    with Proxy(seaweedfs.endpoint, latency=latency, rate=rate, keys=seaweedfs.accounts["admin"]) as proxy:
        yield proxy


@pytest.fixture
def s3(seaweedfs: Server, proxy: Proxy) -> S3:
    """The admin's client, through the proxy."""
    return connect(S3Settings(proxy.url, seaweedfs.accounts["admin"], seaweedfs.region))


def test_an_account_works_through_the_proxy(s3: S3, proxy: Proxy) -> None:
    bucket = versioned(s3)
    first, second = s3.put(bucket, KEY, DATA), s3.put(bucket, KEY, b"second")
    s3.delete(bucket, KEY)
    assert [version.version_id for version in s3.versions(bucket)][1:] == [second, first]
    assert s3.get(bucket, KEY, first) == DATA
    assert s3.reader(bucket).read_range(KEY, first, 1000, 2_000_000) == DATA[1000:2_000_000]
    assert s3.size(bucket, KEY, second) == 6
    assert not s3.delete_versions(bucket, [(KEY, second)])
    gets = proxy.requests(matching("GET", "^/[^/]+/data/a b/ü", {"versionId": first}))
    assert [(seen.status, seen.sent) for seen in gets] == [(200, len(DATA)), (206, 1_999_000)]
    assert proxy.total("PUT").received > len(DATA)
    assert not proxy.requests(lambda request: request.method == "PATCH")


def test_a_wrong_signature_is_refused_through_the_proxy(seaweedfs: Server, proxy: Proxy) -> None:
    wrong = seaweedfs.accounts["admin"]._replace(secret_key="wrong")
    with pytest.raises(AccessDenied):
        connect(S3Settings(proxy.url, wrong, seaweedfs.region)).list_buckets()


def test_requests_changed_by_a_fault_are_signed_again(s3: S3, proxy: Proxy) -> None:
    bucket = versioned(s3)
    version = s3.put(bucket, KEY, DATA)
    reader = s3.reader(bucket, attempts=1)
    proxy.add(Rule(WrongRange(50, honest=False), count=1))
    assert reader.read_range(KEY, version, 100, 200) == DATA[150:250]
    proxy.add(Rule(IgnoreRange(), count=1))
    with pytest.raises(BadResponse, match=f"received {len(DATA)} bytes"):
        reader.read_range(KEY, version, 100, 200)


def test_faults_cause_the_expected_errors(s3: S3, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = versioned(s3)
    version = s3.put(bucket, KEY, DATA)
    reader = s3.reader(bucket)
    monkeypatch.setattr(time, "sleep", lambda _: None)  # between attempts
    proxy.reset_traffic()
    proxy.add(Rule(Status(503, "SlowDown"), matching("GET"), count=2))
    proxy.add(Rule(Reset(1000), matching("GET"), count=1))
    assert reader.read_range(KEY, version, 0, 5000) == DATA[:5000]
    assert [(seen.status, seen.fault) for seen in proxy.requests()] == [
        (503, "Status"),
        (503, "Status"),
        (206, "Reset"),
        (206, ""),
    ]
    proxy.add(Rule(Status(403, "ExpiredToken"), count=1))
    with pytest.raises(S3Error, match="ExpiredToken"):
        reader.read_range(KEY, version, 0, 10)
    proxy.add(Rule(WrongVersion("other")))
    with pytest.raises(BadResponse, match="version other"):
        reader.read_range(KEY, version, 0, 10)


def test_the_proxy_reconnects_to_a_restarted_server(s3: S3, proxy: Proxy) -> None:
    bucket = versioned(s3)
    version = s3.put(bucket, KEY, b"data")
    proxy.down()
    proxy.up()
    assert s3.get(bucket, KEY, version) == b"data"
