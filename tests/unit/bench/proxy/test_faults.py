"""Faults: which requests they match, and what the client receives."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from xml.etree.ElementTree import fromstring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.proxy import (
    Action,
    Close,
    Flip,
    IgnoreRange,
    Lengthen,
    Proxy,
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
from bench.proxy.faults import Rules
from tests.unit.origin import CONTENT, Origin, ask, on, running

FRAMES = ["/b/key", "/b/key?chunked", "/b/key?until-close"]


@pytest.fixture
def origin() -> Iterator[Origin]:
    """The server behind the proxy."""
    with running() as server:
        yield server


@pytest.fixture
def proxy(origin: Origin) -> Iterator[Proxy]:
    """A proxy without latency."""
    with Proxy(origin.url) as proxy:
        yield proxy


# --- which requests ----------------------------------------------------------------------------------------

GET = Request("GET", "/b/data/ü", {"versionId": "v1", "x": ""}, "bytes=0-9")


@pytest.mark.parametrize(
    ("when", "meets"),
    [
        (matching(), True),
        (matching("GET"), True),
        (matching("PUT"), False),
        (matching(path_regex="^/b/data/"), True),
        (matching(path_regex="ü$"), True),
        (matching(path_regex="^data/"), False),
        (matching(query={"versionId": "v1"}), True),
        (matching(query={"versionId": None, "x": ""}), True),
        (matching(query={"versionId": "v2"}), False),
        (matching(query={"versions": None}), False),
        (matching(range_regex="."), True),
        (matching(range_regex="^bytes=0-"), True),
        (matching(range_regex="=1-"), False),
        (matching("GET", "data", {"x": None}, "9$"), True),
        (matching("PUT", "data", {"x": None}, "9$"), False),
    ],
)
def test_matching(when: object, meets: bool) -> None:
    assert callable(when) and when(GET) is meets


def test_a_range_pattern_needs_a_range() -> None:
    assert not matching(range_regex=".")(GET._replace(range=None))


def names(rules: Rules, requests: str) -> str:
    """The content of the fault applied to a request of each path, or ``-``."""
    actions = [rules.choose(Request("GET", path, {}, None)) for path in requests]
    return "".join(action.s3_code if isinstance(action, Status) else "-" for action in actions)


def test_rules_apply_after_and_count_times() -> None:
    rules = Rules()
    rules.add(Rule(Status(500, "1"), matching(path_regex="a"), count=2, after=1))
    assert names(rules, "abaabaa") == "--11---"


def test_the_first_due_rule_applies() -> None:
    rules = Rules()
    rules.add(Rule(Status(500, "1"), matching(path_regex="a"), count=1))
    rules.add(Rule(Status(500, "2"), count=3, after=1))
    rules.add(Rule(Status(500, "3")))
    assert names(rules, "abababab") == "13222333"
    rules.clear()
    assert names(rules, "aab") == "---"


@given(st.lists(st.tuples(st.integers(0, 3), st.none() | st.integers(0, 3)), max_size=3), st.integers(0, 12))
def test_every_rule_skips_and_applies_as_often_as_given(bounds: list[tuple[int, int | None]], count: int) -> None:
    rules = Rules()
    for number, (after, most) in enumerate(bounds):
        rules.add(Rule(Status(500, str(number)), count=most, after=after))
    met = names(rules, "a" * count)
    left = count
    for number, (after, most) in enumerate(bounds):
        expected = max(0, left - after) if most is None else min(most, max(0, left - after))
        assert met.count(str(number)) == expected
        left -= expected
    assert met.count("-") == left


def test_rules_are_thread_safe() -> None:
    rules = Rules()
    chosen: list[type[Action]] = []
    rules.add(Rule(Wrong(), count=500))

    def choose() -> None:
        chosen.extend(type(rules.choose(GET)) for _ in range(400))

    threads = [threading.Thread(target=choose) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (chosen.count(Wrong), chosen.count(Action)) == (500, 1100)


# --- answers in the server's place -------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "s3_code"), [(503, "SlowDown"), (403, "ExpiredToken"), (404, "NoSuchVersion")])
def test_a_status_is_an_s3_error(origin: Origin, proxy: Proxy, code: int, s3_code: str) -> None:
    proxy.add(Rule(Status(code, s3_code), count=2))
    with closing(http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=60)) as connection:
        answer = on(connection)
        assert (answer.status, fromstring(answer.body).findtext("Code")) == (code, s3_code)
        assert on(connection, method="PUT", body=CONTENT).status == code
        assert on(connection).body == CONTENT
    assert (origin.bodies, origin.connections) == ([], 1)
    assert [(seen.status, seen.fault) for seen in proxy.requests()] == [(code, "Status")] * 2 + [(200, "")]


@pytest.mark.parametrize("code", [500, 599])
def test_a_status_with_other_content(proxy: Proxy, code: int) -> None:
    proxy.add(Rule(Status(code, content=b"<html>")))
    assert ask(proxy.url)[::2] == (code, b"<html>")


@pytest.mark.parametrize(("method", "code"), [("HEAD", 403), ("GET", 304)])
def test_a_status_without_a_body(proxy: Proxy, method: str, code: int) -> None:
    proxy.add(Rule(Status(code, "AccessDenied"), count=1))
    with closing(http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=60)) as connection:
        assert on(connection, method=method)[::2] == (code, b"")
        assert on(connection).body == CONTENT


def test_a_status_ends_a_request_that_waits_for_100_continue(proxy: Proxy) -> None:
    proxy.add(Rule(Status(403, "AccessDenied")))
    with closing(http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=60)) as connection:
        connection.request("PUT", "/b/key", headers={"Expect": "100-continue", "Content-Length": "9"})
        answer = connection.getresponse()
        assert (answer.status, answer.headers["Connection"]) == (403, "close")
        answer.read()


# --- answers that end --------------------------------------------------------------------------------------


def until_reset(proxy: Proxy, target: str) -> bytes:
    """The body received before the connection is reset."""
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=60) as client:
        client.sendall(f"GET {target} HTTP/1.1\r\n\r\n".encode())
        return until(client, ConnectionResetError)


def until(client: socket.socket, error: type[OSError]) -> bytes:
    """The body of an answer received before the error."""
    received = bytearray()
    with pytest.raises(error):
        receive(client, received)
    return bytes(received.partition(b"\r\n\r\n")[2])


def receive(client: socket.socket, into: bytearray) -> None:
    while piece := client.recv(1 << 16):
        into += piece


@pytest.mark.parametrize("target", FRAMES[::2])
@pytest.mark.parametrize("after", [1, 300_000, len(CONTENT)])
def test_a_reset_after_bytes_of_the_body(proxy: Proxy, target: str, after: int) -> None:
    proxy.add(Rule(Reset(after)))
    assert until_reset(proxy, target) == CONTENT[:after]
    assert proxy.total().sent == after


def test_a_reset_within_a_chunked_body(proxy: Proxy) -> None:
    proxy.add(Rule(Reset(1)))
    assert until_reset(proxy, FRAMES[1]) == b"1\r\n\0\r\n"


@pytest.mark.parametrize("action", [Reset(), Close()])
def test_a_fault_before_the_head_comes_after_the_request_took_effect(
    origin: Origin, proxy: Proxy, action: Action
) -> None:
    proxy.add(Rule(action))
    error = ConnectionResetError if action == Reset() else http.client.RemoteDisconnected
    with pytest.raises(error):
        ask(proxy.url, method="PUT", body=CONTENT)
    assert origin.bodies == [CONTENT]
    assert [(seen.status, seen.received) for seen in proxy.requests()] == [(0, len(CONTENT))]


@pytest.mark.parametrize("target", FRAMES[:2])
@pytest.mark.parametrize("after", [1, 300_000])
def test_a_close_truncates_the_body(proxy: Proxy, target: str, after: int) -> None:
    proxy.add(Rule(Close(after)))
    with pytest.raises(http.client.IncompleteRead) as raised:
        ask(proxy.url, target)
    assert raised.value.partial == CONTENT[:after]


def test_a_stall_ends_after_its_time(proxy: Proxy) -> None:
    proxy.add(Rule(Stall(1000, seconds=0.2)))
    begin = time.monotonic()
    assert ask(proxy.url).body == CONTENT
    assert time.monotonic() - begin >= 0.2


@pytest.mark.parametrize("after", [0, 1000])
def test_a_stall_without_time_ends_with_the_proxy(proxy: Proxy, after: int) -> None:
    proxy.add(Rule(Stall(after)))
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=0.2) as client:
        client.sendall(b"GET /b/key HTTP/1.1\r\n\r\n")
        assert until(client, TimeoutError) == CONTENT[:after]
        proxy.down()
        with pytest.raises(ConnectionResetError):
            client.recv(1)


# --- bodies that are wrong ---------------------------------------------------------------------------------


@pytest.mark.parametrize("target", FRAMES)
@pytest.mark.parametrize("offset", [0, 300_000, len(CONTENT) - 1])
def test_a_flip_makes_one_byte_wrong(proxy: Proxy, target: str, offset: int) -> None:
    proxy.add(Rule(Flip(offset)))
    body = ask(proxy.url, target).body
    assert len(body) == len(CONTENT)
    assert [at for at in range(len(CONTENT)) if body[at] != CONTENT[at]] == [offset]


@pytest.mark.parametrize("target", FRAMES)
def test_wrong_makes_all_bytes_wrong(proxy: Proxy, target: str) -> None:
    proxy.add(Rule(Wrong()))
    body = ask(proxy.url, target).body
    assert len(body) == len(CONTENT)
    assert not any(wrong == right for wrong, right in zip(body, CONTENT, strict=True))


@pytest.mark.parametrize("target", FRAMES)
@pytest.mark.parametrize("by", [1, 300_000, len(CONTENT), len(CONTENT) + 9])
def test_a_shortened_answer_is_well_formed(proxy: Proxy, target: str, by: int) -> None:
    proxy.add(Rule(Shorten(by)))
    assert ask(proxy.url, target).body == CONTENT[: max(0, len(CONTENT) - by)]


@pytest.mark.parametrize("target", FRAMES)
@pytest.mark.parametrize("by", [1, 600_000])
def test_a_lengthened_answer_is_well_formed(proxy: Proxy, target: str, by: int) -> None:
    proxy.add(Rule(Lengthen(by)))
    assert ask(proxy.url, target).body == CONTENT + bytes(by)


@pytest.mark.parametrize(
    ("action", "span"),
    [
        (Shorten(4), "bytes 10-15/512000"),
        (Shorten(10), "bytes 10-19/512000"),  # nothing is no range
        (Lengthen(4), "bytes 10-23/512000"),
        (Lengthen(600_000), "bytes 10-600019/600020"),
    ],
)
def test_content_range_is_resized(proxy: Proxy, action: Action, span: str) -> None:
    proxy.add(Rule(action))
    assert ask(proxy.url, range="bytes=10-19").headers["Content-Range"] == span


def test_a_connection_can_be_used_after_a_wrong_body(proxy: Proxy) -> None:
    for action in (Flip(3), Wrong(), Shorten(5), Lengthen(5), Stall(5, seconds=0)):
        proxy.add(Rule(action, count=1))
    with closing(http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=60)) as connection:
        lengths = [len(on(connection, range="bytes=0-9").body) for _ in range(5)]
        assert lengths == [10, 10, 5, 15, 10]
        assert on(connection).body == CONTENT


# --- answers to something else -----------------------------------------------------------------------------


def test_wrong_range(proxy: Proxy) -> None:
    proxy.add(Rule(WrongRange(5), count=1))
    proxy.add(Rule(WrongRange(-7, honest=False), count=1))
    answer = ask(proxy.url, range="bytes=10-19")
    assert (answer.status, answer.body, answer.headers["Content-Range"]) == (206, CONTENT[15:25], "bytes 15-24/512000")
    answer = ask(proxy.url, range="bytes=10-19")
    assert (answer.status, answer.body, answer.headers["Content-Range"]) == (206, CONTENT[3:13], "bytes 10-19/512000")
    assert proxy.requests()[0].request.range == "bytes=10-19"


@pytest.mark.parametrize("range", [None, "bytes=2-4"])
def test_wrong_range_leaves_other_requests_unchanged(proxy: Proxy, range: str | None) -> None:
    proxy.add(Rule(WrongRange(-5, honest=False)))
    assert ask(proxy.url, range=range).body == (CONTENT if range is None else CONTENT[2:5])


def test_ignore_range(proxy: Proxy) -> None:
    proxy.add(Rule(IgnoreRange()))
    answer = ask(proxy.url, range="bytes=10-19")
    assert (answer.status, answer.body, answer.headers["Content-Range"]) == (200, CONTENT, None)


def test_wrong_version(proxy: Proxy) -> None:
    proxy.add(Rule(WrongVersion("v2")))
    answer = ask(proxy.url)
    assert (answer.headers.get_all("x-amz-version-id"), answer.body) == (["v2"], CONTENT)
