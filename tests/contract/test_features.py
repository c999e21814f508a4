"""A server that lacks a feature: a proxy before SeaweedFS answers as such a server does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from bench.proxy import Proxy, Rule, Status, matching
from rwm.config import S3Settings
from rwm.errors import Refused
from rwm.location import Location
from rwm.s3 import S3, DefaultRetention, connect
from rwm.storage import (
    NO_RIGHTS,
    create_storage,
    delete_storage,
    missing_features,
    plan_adoption,
    read_lock,
)
from rwm.storage.bucket_lock import UNSUPPORTED
from rwm.times import DAY
from tests.contract.buckets import unique
from tests.servers import Server


@pytest.fixture
def proxy(seaweedfs: Server) -> Iterator[Proxy]:
    with Proxy(seaweedfs.endpoint, keys=seaweedfs.accounts["admin"]) as proxy:
        yield proxy


@pytest.fixture
def s3(seaweedfs: Server, proxy: Proxy) -> S3:
    """The admin's client of a server that lacks what a test takes from it."""
    return connect(S3Settings(proxy.url, seaweedfs.accounts["admin"], seaweedfs.region))


def lacks(proxy: Proxy, query: Mapping[str, str | None]) -> None:
    proxy.add(Rule(Status(501, "NotImplemented"), matching(query=query)))


def test_a_server_without_object_lock_is_named(proxy: Proxy, s3: S3) -> None:
    lacks(proxy, {"object-lock": None})
    bucket, warnings = unique("lacking"), list[str]()
    create_storage(s3, bucket, "user1", warn=warnings.append)
    assert warnings == [UNSUPPORTED]
    assert str(read_lock(s3, bucket)) == UNSUPPORTED
    assert [each.feature for each in missing_features(s3, Location(bucket), read_lock(s3, bucket))] == ["object-lock"]
    locked = unique("lacking")
    with pytest.raises(Refused, match="the server does not have Object Lock: whoever has the admin's keys"):
        create_storage(s3, locked, "user1", lock=DefaultRetention("governance", DAY))
    assert not s3.bucket_exists(locked)


def test_a_server_without_a_listing_of_uploads_is_named(proxy: Proxy, s3: S3) -> None:
    lacks(proxy, {"uploads": None})
    bucket, warnings = unique("lacking"), list[str]()
    s3.create_bucket(bucket)
    s3.put(bucket, "config", b"1")
    plan = plan_adoption(s3, bucket, ["user1"], NO_RIGHTS, 1 << 20)
    assert any("RWM cannot find unfinished uploads" in note for note in plan.notes)
    assert delete_storage(s3, Location(bucket), warn=warnings.append) == []
    assert warnings == [
        "the server does not have ListMultipartUploads: RWM cannot find unfinished uploads: their parts may stay and "
        "use space"
    ]
