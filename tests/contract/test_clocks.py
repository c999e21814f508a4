"""Servers whose Date header has another clock than LastModified, as behind a gateway."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.proxy import Proxy, Rule, ShiftDate, Status, matching
from rwm.config import S3Settings
from rwm.index import Index
from rwm.location import Location
from rwm.s3 import connect
from rwm.states import capture_state, compare_with_history, list_state_files, new_state_files, sync_states
from rwm.storage import create_storage
from rwm.times import SECOND
from rwm.trust import audit_location
from tests.contract.buckets import unique, versioned
from tests.servers import Server


def test_the_time_that_the_server_stamps(server: Server) -> None:
    """Measured with the machine's keys, and nothing is left of it."""
    admin, user, bucket = server.connect(), server.connect("user1"), unique("clock")
    create_storage(admin, bucket, "user1")
    before = user.server_time(bucket)
    stamp = user.stamp_time(bucket, "rwm/states/clock")
    assert before <= stamp < user.server_time(bucket) + SECOND
    assert [*admin.versions(bucket)] == [] == [*admin.unfinished_uploads(bucket)]


@pytest.mark.parametrize("ahead", [3, -3, 3600], ids=lambda ahead: f"{ahead}s")
def test_states_are_verified_whatever_the_date(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead: int
) -> None:
    admin, user, bucket = server.connect(), server.connect("user1"), unique("clock")
    create_storage(admin, bucket, "user1")
    place = Location(bucket)
    server_time = user.server_time
    monkeypatch.setattr(user, "server_time", lambda bucket: server_time(bucket) + ahead * SECOND)
    with Index.open(tmp_path / "one.sqlite") as index:
        for number in range(2):
            written = user.put(bucket, "data/00/a", bytes(number))
            info = capture_state(user, index, place)
            assert [entry.version_id for batch in index.batches(info) for entry in batch.entries()] == [written]
            user.put(bucket, "data/00/a", b"later")
    with Index.open(tmp_path / "two.sqlite") as index:
        files = list_state_files(admin, place)
        sync_states(admin, index, place, files, new_state_files(index, place, files))
        assert [one.verdict for one in compare_with_history(admin, index, place, files)] == ["verified"] * 2


@pytest.mark.parametrize(("ahead", "measurable"), [(-7200, True), (-7200, False), (7200, False)])
def test_an_attack_is_found_behind_a_gateway_of_another_clock(server: Server, ahead: int, measurable: bool) -> None:
    """What happened since the Date of a gateway that is behind was not judged, and the bucket was called clean."""
    admin, bucket = server.connect(), versioned(server.connect(), "clock")
    pack = f"data/00/{0:064x}"
    for key, body in (("config", b"c" * 155), (f"keys/{1:064x}", b"k" * 40), (pack, b"p" * 40), (pack, b"x" * 41)):
        admin.put(bucket, key, body)
    with Proxy(server.endpoint, keys=server.accounts["admin"]) as proxy:
        if not measurable:
            proxy.add(Rule(Status(403, "AccessDenied"), matching("POST", query={"uploads": None})))
        proxy.add(Rule(ShiftDate(ahead)))
        s3 = connect(S3Settings(proxy.url, server.accounts["admin"], server.region))
        audit = audit_location(s3, Location(bucket))
    assert set(audit.counts()) == {"other-content"}
    assert audit.clock.is_measured is measurable
    assert abs(audit.clock.ahead // SECOND - (ahead if measurable else 0)) <= 1
