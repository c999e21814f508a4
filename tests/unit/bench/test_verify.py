"""The measurement of verifications."""

from __future__ import annotations

import urllib.request

from bench.content_server import content_server
from bench.verify import HASHLIB, HEADERS, OPENSSL, PLAIN, VERIFY, Speed, measure, rows


def test_the_server_answers_every_request_with_its_content() -> None:
    with content_server(b"0123456789" * 100_000) as server:
        for path in ("/a", "/b?versionId=v1"):
            with urllib.request.urlopen(server.url + path) as answer:
                assert answer.read() == b"0123456789" * 100_000
                assert answer.headers["x-amz-version-id"] == "v1"


def test_ratios_are_to_the_slower_bound() -> None:
    speeds = {
        HASHLIB: Speed(1e9, 1e-9),
        OPENSSL: Speed(1e9, 0),
        PLAIN: Speed(5e8, 1e-9),
        VERIFY: Speed(4e8, 2e-9, 3e-9),
    }
    assert rows(speeds)[-1] == (VERIFY, "400", "0.80", "2.00", "0.50", "3.00")
    assert rows(speeds)[1][3:] == ("-", "-", "-")
    assert {len(row) for row in rows(speeds)} == {len(HEADERS)}


def test_peers_run_in_turn() -> None:
    ran: list[str] = []
    speeds = measure({"a": lambda: ran.append("a"), "b": lambda: ran.append("b")}, 100, 2)
    assert ran == ["a", "b", "b", "a"]
    assert speeds.keys() == {"a", "b"}
