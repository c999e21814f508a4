"""The proxy server: forwarding, latency and rate, recording, going down, and closing."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from bench.proxy import Proxy, Rule, Stall, Status, TrafficTotal, matching, proxy_process
from tests.unit.origin import CONTENT, Origin, ask, on, running


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


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    """A listening socket, for a test that acts as the server."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)
        yield listener


def before(listener: socket.socket) -> Proxy:
    return Proxy(f"http://127.0.0.1:{listener.getsockname()[1]}")


def connected(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=60)


def everything(client: socket.socket) -> bytes:
    """Read until the other side closes."""
    return b"".join(iter(lambda: client.recv(1 << 16), b""))


def until(client: socket.socket, end: bytes) -> bytes:
    received = b""
    while not received.endswith(end):
        received += (piece := client.recv(1 << 16))
        assert piece, received
    return received


# --- what passes -------------------------------------------------------------------------------------------


def test_heads_are_forwarded_unchanged(listening: socket.socket) -> None:
    asked = b"GET /b/%C3%BC%2F+x?a=%20&b HTTP/1.1\r\nhOsT: example.org:1\r\nX-One:  1\r\nX-One: 2 \r\nX:\xe9\r\n\r\n"
    answered = b"HTTP/1.1 200 Fine!\r\nx-amz-B: 2\r\nX-AMZ-a:  1\r\ncontent-length: 0\r\n\r\n"
    with before(listening) as proxy, connected(proxy) as client:
        client.sendall(asked)
        with listening.accept()[0] as server:
            assert until(server, b"\r\n\r\n") == asked
            server.sendall(answered)
            assert until(client, b"\r\n\r\n") == answered


@pytest.mark.parametrize("query", ["", "?chunked", "?until-close"])
def test_bodies_of_every_framing_are_forwarded(proxy: Proxy, query: str) -> None:
    assert ask(proxy.url, "/b/key" + query).body == CONTENT
    assert proxy.total() == TrafficTotal(1, 0, len(CONTENT))


def test_trailers_are_forwarded(proxy: Proxy) -> None:
    with connected(proxy) as client:
        client.sendall(b"GET /b/key?chunked HTTP/1.1\r\nRange: bytes=0-2\r\n\r\n")
        assert until(client, b"last\r\n\r\n").endswith(b"3\r\n\0\1\2\r\n0\r\nX-Trailer: last\r\n\r\n")


@pytest.mark.parametrize(("method", "target", "status"), [("HEAD", "/b/key", 200), ("GET", "/b/key?none", 204)])
def test_answers_without_a_body_leave_the_connection_usable(
    proxy: Proxy, method: str, target: str, status: int
) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=60)) as connection:
        assert on(connection, target, method)[::2] == (status, b"")
        assert on(connection).body == CONTENT


def test_connections_are_kept_alive_on_both_sides(origin: Origin, proxy: Proxy) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=60)) as connection:
        for _ in range(3):
            assert on(connection, method="PUT", body=CONTENT).status == 200
            assert on(connection, range="bytes=0-9").body == CONTENT[:10]
    assert (origin.connections, origin.bodies) == (1, [CONTENT] * 3)


def test_pipelined_requests(proxy: Proxy) -> None:
    head = b"GET /b/key HTTP/1.1\r\nRange: bytes=%d-%d\r\n\r\n"
    with connected(proxy) as client:
        client.sendall(head % (0, 3) + head % (4, 7) + head % (8, 11))
        received = until(client, CONTENT[8:12])
    assert received.index(CONTENT[:4]) < received.index(CONTENT[4:8])


def test_a_chunked_request_body_is_forwarded(origin: Origin, proxy: Proxy) -> None:
    pieces = [CONTENT[:100_000], b"x", CONTENT[100_000:]]
    with closing(http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=60)) as connection:
        connection.request("PUT", "/b/key", iter(pieces), encode_chunked=True)
        assert connection.getresponse().read() == b""
        assert on(connection, range="bytes=0-0").status == 206
    assert origin.bodies == [b"".join(pieces)]
    assert proxy.total("PUT").received == len(CONTENT) + 1


def test_a_request_may_arrive_in_any_pieces(origin: Origin, proxy: Proxy) -> None:
    head = b"PUT /b/key HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    with connected(proxy) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in (head[:-3], b"\n", b"\r", b"\n3", b"\r", b"\nbo", b"d\r", b"\n1\r\ny\r\n0\r", b"\n\r", b"\n"):
            client.sendall(piece)
            time.sleep(0.01)  # each is most likely received by itself
        until(client, b"\r\n\r\n")
    assert origin.bodies == [b"body"]


def test_100_continue_is_forwarded(origin: Origin, proxy: Proxy) -> None:
    with connected(proxy) as client:
        client.sendall(b"PUT /b/key HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        assert until(client, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"body")
        assert until(client, b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
    assert origin.bodies == [b"body"]


def test_a_final_answer_instead_of_100_continue_ends_the_request(proxy: Proxy) -> None:
    with connected(proxy) as client:
        client.sendall(b"PUT /b/key?unread HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        assert everything(client).startswith(b"HTTP/1.1 403 ")


def test_a_client_may_send_its_body_without_100_continue(origin: Origin, proxy: Proxy) -> None:
    with connected(proxy) as client:
        client.sendall(b"PUT /b/key HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody")
        assert b"\r\nHTTP/1.1 200 " in until(client, b"Content-Length: 0\r\n\r\n")
    assert origin.bodies == [b"body"]


@pytest.mark.parametrize(
    "junk",
    [b"junk\r\n\r\n", b"GET / SMTP\r\n\r\n", b"PUT / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"x" * (1 << 18)],
    ids=["no line", "no HTTP", "no length", "no end"],
)
def test_invalid_http_is_reset(proxy: Proxy, junk: bytes) -> None:
    with connected(proxy) as client:
        with contextlib.suppress(ConnectionError):
            client.sendall(junk)
        with pytest.raises(ConnectionError):
            client.recv(1)


def test_an_unreachable_server_resets_the_client(origin: Origin) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with Proxy(f"http://127.0.0.1:{port}") as proxy, pytest.raises(ConnectionResetError):
        ask(proxy.url)


def test_an_idle_connection_closed_by_the_server_is_closed(listening: socket.socket) -> None:
    with before(listening) as proxy, connected(proxy) as client:
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        with listening.accept()[0] as server:
            until(server, b"\r\n\r\n")
            server.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
            until(client, b"\r\n\r\n")
        assert client.recv(1) == b""


def test_an_answer_during_the_request_body_is_forwarded(listening: socket.socket) -> None:
    with before(listening) as proxy, connected(proxy) as client:
        client.sendall(b"PUT / HTTP/1.1\r\nContent-Length: 999999999\r\n\r\n")
        with listening.accept()[0] as server:
            until(server, b"\r\n\r\n")
            server.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        for _ in range(20):
            client.sendall(CONTENT)
        assert everything(client).endswith(b"\r\n\r\nno")


@pytest.mark.parametrize("cut", [b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"])
def test_a_truncated_answer_is_truncated_for_the_client(listening: socket.socket, cut: bytes) -> None:
    with before(listening) as proxy, connected(proxy) as client:
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        with listening.accept()[0] as server:
            until(server, b"\r\n\r\n")
            server.sendall(cut)
        assert everything(client) == (cut if b"half" in cut else b"")


@pytest.mark.parametrize("upstream", ["https://127.0.0.1:1", "127.0.0.1:1", "http://127.0.0.1:1/path"])
def test_an_invalid_upstream_is_an_error(upstream: str) -> None:
    with pytest.raises(ValueError, match="not http://host:port"):
        Proxy(upstream)


@pytest.mark.parametrize(("latency", "rate"), [(-1.0, None), (0.0, 0.0)])
def test_an_invalid_link_is_an_error(latency: float, rate: float | None) -> None:
    with pytest.raises(ValueError, match="not a link"):
        Proxy("http://127.0.0.1:1", latency=latency, rate=rate)


# --- the link ----------------------------------------------------------------------------------------------


def test_latency_is_added_to_the_connection_and_to_each_answer(origin: Origin) -> None:
    with Proxy(origin.url, latency=0.1) as proxy:
        begin = time.monotonic()
        with closing(http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=60)) as connection:
            for _ in range(3):
                on(connection, range="bytes=0-0")
        assert time.monotonic() - begin >= 0.4


def test_latency_is_added_to_100_continue(origin: Origin) -> None:
    with Proxy(origin.url, latency=0.1) as proxy, connected(proxy) as client:
        begin = time.monotonic()
        client.sendall(b"PUT /b/key HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        until(client, b"\r\n\r\n")
        client.sendall(b"body")
        until(client, b"\r\n\r\n")
        assert time.monotonic() - begin >= 0.3


@pytest.mark.parametrize(("method", "body"), [("GET", None), ("PUT", CONTENT)])
def test_the_rate_limits_both_directions(origin: Origin, method: str, body: bytes | None) -> None:
    with Proxy(origin.url, rate=len(CONTENT) / 0.3) as proxy:
        begin = time.monotonic()
        assert ask(proxy.url, method=method, body=body).status == 200
        assert time.monotonic() - begin >= 0.29


def test_the_rate_limits_each_connection_separately(origin: Origin) -> None:
    with Proxy(origin.url, rate=len(CONTENT) / 0.3) as proxy:
        answers: list[bytes] = []
        threads = [threading.Thread(target=lambda: answers.append(ask(proxy.url).body)) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == [CONTENT] * 5


# --- counting ----------------------------------------------------------------------------------------------


def test_requests_are_recorded(proxy: Proxy) -> None:
    ask(proxy.url, "/b/a%20key?versionId=v1&x", range="bytes=0-9")
    ask(proxy.url, "/b/other", "PUT", b"body")
    ask(proxy.url, "/b/other", "HEAD")
    assert [(seen.request, seen.status, seen.received, seen.sent, seen.fault) for seen in proxy.requests()] == [
        (("GET", "/b/a key", {"versionId": "v1", "x": ""}, "bytes=0-9"), 206, 0, 10, ""),
        (("PUT", "/b/other", {}, None), 200, 4, 0, ""),
        (("HEAD", "/b/other", {}, None), 200, 0, 0, ""),
    ]
    assert [seen.request.method for seen in proxy.requests(matching(path_regex="other"))] == ["PUT", "HEAD"]
    assert (proxy.total(), proxy.total("GET")) == (TrafficTotal(3, 4, 10), TrafficTotal(1, 0, 10))
    assert proxy.total("DELETE") == TrafficTotal()


def test_reset_traffic(proxy: Proxy) -> None:
    ask(proxy.url)
    proxy.reset_traffic()
    assert (proxy.requests(), proxy.total()) == ([], TrafficTotal())


# --- down, up and the end ----------------------------------------------------------------------------------


def test_down_resets_and_refuses_until_up_on_the_same_port(proxy: Proxy) -> None:
    url = proxy.url
    with closing(http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=60)) as connection:
        on(connection)
        proxy.down()
        proxy.down()
        connection.auto_open = 0
        with pytest.raises(ConnectionError):
            on(connection)
    with pytest.raises(ConnectionRefusedError):
        ask(url)
    proxy.up()
    proxy.up()
    assert proxy.url == url
    assert ask(url).body == CONTENT


def test_down_during_a_body_resets_the_connection(origin: Origin) -> None:
    with Proxy(origin.url, rate=len(CONTENT) / 60) as proxy, connected(proxy) as client:
        client.sendall(b"GET /b/key HTTP/1.1\r\n\r\n")
        assert client.recv(10) == b"HTTP/1.1 2"
        proxy.down()
        with pytest.raises(ConnectionResetError):
            everything(client)


@pytest.mark.parametrize("idle", ["no request", "half a head", "half a body", "stalled", "unread"])
def test_close_does_not_wait_for_clients_or_the_server(origin: Origin, idle: str) -> None:
    sent = {
        "no request": b"",
        "half a head": b"GET / HT",
        "half a body": b"PUT / HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf",
        "stalled": b"GET / HTTP/1.1\r\n\r\n",
        "unread": b"GET / HTTP/1.1\r\n\r\n" * 100,
    }[idle]
    before = threading.active_count()
    with Proxy(origin.url) as proxy, connected(proxy) as client:
        if idle == "stalled":
            proxy.add(Rule(Stall()))
        client.sendall(sent)
        while sent and idle != "half a head" and not proxy.total().requests:
            time.sleep(0.001)
        proxy.close()
        proxy.up()  # it stays closed
        with pytest.raises(ConnectionRefusedError):
            connected(proxy)
    wait_for_threads(before)


def test_the_thread_of_a_disconnected_client_ends(origin: Origin) -> None:
    before = threading.active_count()
    with Proxy(origin.url) as proxy:
        proxy.add(Rule(Stall()))
        with connected(proxy) as client:
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            while not proxy.requests():
                time.sleep(0.001)
        wait_for_threads(before + 1)


def wait_for_threads(most: int) -> None:
    """The server ends its threads when they notice that the proxy has closed."""
    deadline = time.monotonic() + 30
    while threading.active_count() > most:
        assert time.monotonic() < deadline, threading.enumerate()
        time.sleep(0.01)


# --- in its own process ------------------------------------------------------------------------------------


def test_a_proxy_in_its_own_process(origin: Origin) -> None:
    with proxy_process(origin.url, latency=0.01, rate=1e9) as proxy:
        assert ask(proxy.url).body == CONTENT
        assert [seen.status for seen in proxy.requests()] == [200]
        assert proxy.requests(matching("PUT")) == []
        assert proxy.total("GET") == TrafficTotal(1, 0, len(CONTENT))
        proxy.add(Rule(Status(503, "SlowDown"), matching("GET", query={"versionId": None})))
        assert [ask(proxy.url, target).status for target in ("/b/key?versionId=1", "/b/key")] == [503, 200]
        proxy.clear()
        assert ask(proxy.url, "/b/key?versionId=1").status == 200
        proxy.reset_traffic()
        assert proxy.total() == TrafficTotal()
        proxy.down()
        with pytest.raises(ConnectionRefusedError):
            ask(proxy.url)
        proxy.up()
        assert ask(proxy.url).status == 200
        port = urlsplit(proxy.url).port
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port or 0))
