"""One connection of a client and its connection to the server: forward request after request, in one thread."""

from __future__ import annotations

import errno
import os
import select
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from email.utils import formatdate
from functools import partial
from http import HTTPStatus
from xml.sax.saxutils import escape

from bench.proxy import body as bodies
from bench.proxy.body import Body
from bench.proxy.faults import Action, Close, Request, Reset, Rules, Stall, Status
from bench.proxy.message import BadMessage, Head, answer_frame, request_frame
from bench.proxy.signing import signed
from bench.proxy.traffic import RequestRecord, Traffic
from bench.proxy.wire import Bytes, Ended, Stop, Watch, Wire
from rwm.config import Credentials


@dataclass(frozen=True, slots=True)
class Link:
    """The server and the simulated link to it; see :class:`bench.proxy.Proxy`."""

    host: str
    port: int
    latency: float = 0.0
    rate: float | None = None
    keys: Credentials | None = None
    region: str = "us-east-1"


class Exchange:
    """Forwards the requests of one client connection."""

    def __init__(self, client: socket.socket, link: Link, stop: Stop, rules: Rules, traffic: Traffic) -> None:
        self._watch = Watch(stop, client)
        self._client = Wire(client, self._watch, link.rate)
        self._server: Wire | None = None
        self._link = link
        self._rules = rules
        self._traffic = traffic

    def run(self) -> None:
        """Run until a side closes or the proxy stops. Invalid HTTP and a lost server reset the client."""
        reset = True
        try:
            self._watch.pause(self._link.latency)
            while self._wait_for_request() and (head := self._client.head()) is not None:
                self._forward(head)
            reset = False
        except Ended as ended:
            reset = ended.reset
        except (OSError, BadMessage):
            pass
        finally:
            if self._server is not None:
                self._server.socket.close()
            self._client.close(reset=reset)

    def _wait_for_request(self) -> bool:
        """Wait for a request; False if the server closes first."""
        if self._server is None or self._client.pending:
            return True
        server = self._server.socket
        return server not in self._watch.wait((self._client.socket, select.POLLIN), (server, select.POLLIN))

    def _forward(self, head: Head) -> None:
        """Forward one request. After Ended, OSError or BadMessage the connection cannot be used again."""
        request = Request.of(head)
        action = self._rules.choose(request)
        seen = self._traffic.begin(request, "" if type(action) is Action else type(action).__name__)
        if isinstance(action, Status):
            self._refuse(head, seen, action)
            return
        server = self._connected()
        early = self._send_request(server, self._changed(head, action), seen)
        answer = self._read_answer(server) if early is None else early
        self._send_answer(server, head, answer, action, seen)
        if early is not None:  # only the client knows whether it still sends the body
            raise Ended(reset=False)

    def _changed(self, head: Head, action: Action) -> Head:
        changed = action.asked(head)
        if changed == head or self._link.keys is None or head.get("Authorization") is None:
            return changed
        return signed(changed, self._link.keys, self._link.region)

    def _connected(self) -> Wire:
        """The connection to the server. Raises OSError, Ended."""
        if self._server is None:
            server = socket.socket()
            self._server = Wire(server, self._watch, self._link.rate)
            code = server.connect_ex((self._link.host, self._link.port))
            if code == errno.EINPROGRESS:
                self._watch.wait((server, select.POLLOUT))
                code = server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise OSError(code, os.strerror(code))
        return self._server

    def _send_request(self, server: Wire, head: Head, seen: RequestRecord) -> Head | None:
        """Send the request to the server. Returns the answer if it came before the body was sent."""
        server.begin()
        server.send(head.raw)
        body = Body(self._client, request_frame(head))
        if _expects_continue(head) and (early := self._wait_for_body(server)) is not None:
            return early
        try:
            bodies.send(server, body, self._received(body, seen))
        except ConnectionError:  # the server may have answered before it closed
            return self._read_answer(server)
        return None

    def _wait_for_body(self, server: Wire) -> Head | None:
        """Wait for the body of the client, forwarding interim answers. Returns the answer if it comes first."""
        client = self._client.socket
        while not self._client.pending:
            if client in self._watch.wait((client, select.POLLIN), (server.socket, select.POLLIN)):
                break
            answer = _read_head(server)
            if answer.status >= 200:
                return answer
            self._forward_interim(answer)
        return None

    def _read_answer(self, server: Wire) -> Head:
        """Read the answer, after forwarding interim answers."""
        while (answer := _read_head(server)).status < 200:
            self._forward_interim(answer)
        return answer

    def _forward_interim(self, answer: Head) -> None:
        self._watch.pause(self._link.latency)
        self._client.send(answer.raw)

    def _send_answer(self, server: Wire, asked: Head, answer: Head, action: Action, seen: RequestRecord) -> None:
        body = Body(server, answer_frame(answer, seen.request.method))
        pieces = action.body(body.pieces())
        self._watch.pause(self._link.latency)
        if isinstance(action, Reset | Close | Stall):
            cut = partial(self._cut, action)
            if action.after_bytes:
                pieces = bodies.interrupted(pieces, action.after_bytes, cut)
            else:
                cut()
        head = action.answered(answer, asked)
        self._traffic.answered(seen, head.status)
        self._client.begin()
        self._client.send(head.raw)
        bodies.send(self._client, body, self._sent(pieces, seen))

    def _cut(self, action: Reset | Close | Stall) -> None:
        if isinstance(action, Stall):
            self._watch.pause(action.seconds)
            return
        if isinstance(action, Reset):
            self._client.wait_until_delivered()
        raise Ended(reset=isinstance(action, Reset))

    def _refuse(self, head: Head, seen: RequestRecord, action: Status) -> None:
        """Answer instead of the server. If the client waits for 100-continue, the connection ends after the answer."""
        expects = _expects_continue(head)
        if not expects:
            body = Body(self._client, request_frame(head))
            for _ in self._received(body, seen):
                pass
        last = expects or (head.get("Connection") or "").lower() == "close"
        answer, content = refusal(action, seen.request, last=last)
        self._watch.pause(self._link.latency)
        self._traffic.answered(seen, action.code)
        self._client.begin()
        self._client.send(answer.raw)
        for piece in self._sent([content], seen):
            self._client.send(piece)
        if last:
            raise Ended(reset=False)

    def _received(self, body: Body, seen: RequestRecord) -> Iterator[Bytes]:
        for piece in body.pieces():
            self._traffic.received(seen, len(piece))
            yield piece

    def _sent(self, pieces: Iterable[Bytes], seen: RequestRecord) -> Iterator[Bytes]:
        for piece in pieces:
            self._traffic.sent(seen, len(piece))
            yield piece


def refusal(action: Status, request: Request, *, last: bool) -> tuple[Head, bytes]:
    """The answer to a request that is not forwarded; ``last`` announces the end of the connection."""
    content = action.content
    if content is None:
        error = f"<Code>{escape(action.s3_code)}</Code><Message>{escape(action.s3_code)}</Message>"
        content = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{error}</Error>'.encode()
    lines = [
        f"HTTP/1.1 {action.code} {_phrase(action.code)}",
        f"Date: {formatdate(usegmt=True)}",
        "Content-Type: application/xml",
        f"Content-Length: {len(content)}",
    ]
    head = Head("".join(f"{line}\r\n" for line in [*lines, *["Connection: close"] * last, ""]).encode("latin-1"))
    if answer_frame(head, request.method) != 0:
        return head, content
    return head.replaced("Content-Length", None), b""


def _phrase(code: int) -> str:
    try:
        return HTTPStatus(code).phrase
    except ValueError:
        return "Unknown"


def _expects_continue(head: Head) -> bool:
    return (head.get("Expect") or "").lower() == "100-continue"


def _read_head(server: Wire) -> Head:
    """The next head from the server. Raises Ended if it closes instead."""
    head = server.head()
    if head is None:
        raise Ended(reset=False)
    return head
