"""What the proxy makes of heads, lengths and times, without a socket."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.proxy import body
from bench.proxy.faults import Request
from bench.proxy.message import BadMessage, Frame, Head, Open, answer_frame, chunk_size, request_frame
from bench.proxy.signing import signed
from bench.proxy.wire import PIECE, Bytes, Pacer

HEAD = Head(
    b"GET /b/%C3%BC?versionId=1 HTTP/1.1\r\nHost: h:1\r\nx-a: 1\r\nX-A: 2\r\nX-Ab:\r\nAuthorization: old\r\n\r\n"
)


def answer(*lines: str, status: int = 200) -> Head:
    return Head("".join(f"{line}\r\n" for line in [f"HTTP/1.1 {status} What it is", *lines, ""]).encode())


# --- heads -------------------------------------------------------------------------------------------------


def test_the_first_line_has_three_parts() -> None:
    assert HEAD.words == ("GET", "/b/%C3%BC?versionId=1", "HTTP/1.1")
    assert answer().words == ("HTTP/1.1", "200", "What it is")
    assert Head(b"HTTP/1.1 204\r\n\r\n").status == 204


@pytest.mark.parametrize("line", [b"", b"GET", b"GET /", b"GET / SMTP/1.0", b"\x16\x03\x01"])
def test_what_is_no_first_line(line: bytes) -> None:
    with pytest.raises(BadMessage):
        _ = Head(line + b"\r\n\r\n").words


def test_a_header_is_found_whatever_its_case() -> None:
    found = [HEAD.get(name) for name in ("host", "X-A", "x-ab", "X", "b")]
    assert found == ["h:1", "1", "", None, None]


def test_a_header_is_replaced_or_removed_and_the_rest_stays() -> None:
    begin = b"GET /b/%C3%BC?versionId=1 HTTP/1.1\r\nHost: h:1\r\n"
    assert HEAD.replaced("X-a", "3").raw == begin + b"X-Ab:\r\nAuthorization: old\r\nX-a: 3\r\n\r\n"
    assert HEAD.replaced("X-a", None).raw == begin + b"X-Ab:\r\nAuthorization: old\r\n\r\n"
    assert HEAD.replaced("X-b", None) == HEAD


def test_a_request_is_read_from_its_head() -> None:
    assert Request.of(HEAD) == ("GET", "/b/ü", {"versionId": "1"}, None)
    assert Request.of(HEAD.replaced("range", "bytes=0-1")).range == "bytes=0-1"


def test_a_signature_goes_into_the_target() -> None:
    head = signed(HEAD, ("key", "secret"), "us-east-1")
    request = Request.of(head)
    assert request[:2] == ("GET", "/b/ü") and head.words[1].startswith("/b/%C3%BC?versionId=1&")
    assert request.query["X-Amz-SignedHeaders"] == "host" and len(request.query["X-Amz-Signature"]) == 64
    assert head.get("Authorization") is None and head.get("x-a") == "1"


# --- lengths -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "frame"),
    [
        ([], 0),
        (["Content-Length: 12"], 12),
        (["transfer-encoding: Chunked"], Open.CHUNKED),
        (["Content-Length: 12", "Transfer-Encoding: chunked"], Open.CHUNKED),
    ],
)
def test_how_the_body_of_a_request_ends(lines: list[str], frame: Frame) -> None:
    assert request_frame(answer(*lines)) == frame


@pytest.mark.parametrize(
    ("head", "method", "frame"),
    [
        (answer("Content-Length: 12"), "GET", 12),
        (answer("Content-Length: 12"), "HEAD", 0),
        (answer("Transfer-Encoding: chunked"), "HEAD", 0),
        (answer("Transfer-Encoding: chunked"), "PUT", Open.CHUNKED),
        (answer("Content-Length: 12", status=304), "GET", 0),
        (answer(status=204), "DELETE", 0),
        (answer(status=100), "PUT", 0),
        (answer(), "GET", Open.UNTIL_CLOSE),
    ],
)
def test_how_the_body_of_an_answer_ends(head: Head, method: str, frame: Frame) -> None:
    assert answer_frame(head, method) == frame


@pytest.mark.parametrize("length", ["", "-1", "+1", "1_0", "1 0", "0x1", "9" * 19, "١"])
def test_what_is_no_length(length: str) -> None:
    with pytest.raises(BadMessage):
        request_frame(Head(f"PUT / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n".encode()))


def test_chunks_tell_their_size() -> None:
    assert [chunk_size(line) for line in (b"0\r\n", b"fF\r\n", b"10;a=b\r\n", b"010 \r\n")] == [0, 255, 16, 16]
    for line in (b"\r\n", b"-1\r\n", b"g\r\n", b"0x1\r\n"):
        with pytest.raises(BadMessage):
            chunk_size(line)


# --- bodies ------------------------------------------------------------------------------------------------

PIECES = st.lists(st.binary(min_size=1, max_size=5), max_size=5)


def whole(pieces: Iterable[Bytes]) -> bytes:
    """Each piece is taken before the next is made, as they are used."""
    return b"".join(bytes(piece) for piece in pieces)


@given(PIECES, st.integers(0, 30))
def test_a_flip_is_one_byte_wherever_the_pieces_end(pieces: list[bytes], offset: int) -> None:
    expected = bytearray(b"".join(pieces))
    if offset < len(expected):
        expected[offset] ^= 0xFF
    assert whole(body.flipped(pieces, offset)) == expected


@given(PIECES)
def test_no_byte_is_right(pieces: list[bytes]) -> None:
    assert whole(body.inverted(pieces)) == bytes(byte ^ 0xFF for byte in b"".join(pieces))


@given(PIECES, st.integers(0, 30))
def test_the_end_is_cut_off_or_grows(pieces: list[bytes], by: int) -> None:
    data = b"".join(pieces)
    assert whole(body.shortened(pieces, by)) == data[: max(0, len(data) - by)]
    assert whole(body.lengthened(pieces, by)) == data + bytes(by)


@given(PIECES, st.integers(1, 30))
def test_an_interruption_comes_once_after_so_many_bytes(pieces: list[bytes], after: int) -> None:
    taken = bytearray()
    at: list[int] = []
    for piece in body.interrupted(pieces, after, lambda: at.append(len(taken))):
        taken.extend(piece)
    data = b"".join(pieces)
    assert (bytes(taken), at) == (data, [min(after, len(data))])


# --- times -------------------------------------------------------------------------------------------------


def test_bytes_arrive_one_after_another() -> None:
    pacer = Pacer(1000)
    pacer.begin(10.0)
    assert [pacer.due(100, 10.0) for _ in range(3)] == pytest.approx([10.1, 10.2, 10.3])


def test_who_was_woken_late_makes_up_for_it() -> None:
    pacer = Pacer(1000)
    pacer.begin(10.0)
    assert [pacer.due(100, now) for now in (10.0, 10.15, 10.23)] == pytest.approx([10.1, 10.2, 10.3])


def test_a_sender_that_faltered_for_long_makes_up_for_little() -> None:
    pacer = Pacer(1000)
    pacer.begin(10.0)
    assert pacer.due(100, 20.0) == pytest.approx(20.0 - Pacer.SLACK + 0.1)


def test_the_time_between_two_messages_is_lost() -> None:
    pacer = Pacer(1000)
    pacer.begin(10.0)
    pacer.due(100, 10.0)
    pacer.begin(10.15)
    assert pacer.due(100, 10.15) == pytest.approx(10.25)


def test_a_message_waits_for_the_one_before() -> None:
    pacer = Pacer(1000)
    pacer.begin(10.0)
    pacer.due(1000, 10.0)
    pacer.begin(10.5)
    assert pacer.due(100, 10.5) == pytest.approx(11.1)


@given(st.floats(1e3, 1e9), st.lists(st.tuples(st.integers(1, PIECE), st.floats(0, Pacer.SLACK * 0.9)), min_size=1))
def test_wake_ups_that_are_a_little_late_add_up_to_nothing(rate: float, steps: list[tuple[int, float]]) -> None:
    pacer, now, total = Pacer(rate), 100.0, 0
    pacer.begin(now)
    for size, late in steps:
        due = pacer.due(size, now)
        total += size
        assert due == pytest.approx(100.0 + total / rate)
        if due > now:
            now = due + late


@pytest.mark.parametrize(("rate", "piece"), [(100.0, 1024), (1e6, 20_000), (12e6, PIECE), (1e9, PIECE)])
def test_a_slow_link_takes_small_pieces(rate: float, piece: int) -> None:
    assert Pacer(rate).piece == piece
