"""One connection of a client, and the one to the server that belongs to it: request after request, in its thread."""

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
from bench.proxy.traffic import Seen, Traffic
from bench.proxy.wire import Bytes, Ended, Stop, Watch, Wire


@dataclass(frozen=True, slots=True)
class Link:
    """Where to, and what the way is like; see :class:`bench.proxy.Proxy`."""

    host: str
    port: int
    latency: float = 0.0
    rate: float | None = None
    keys: tuple[str, str] | None = None
    region: str = "us-east-1"


class Exchange:
    """All that one connection needs."""

    def __init__(self, client: socket.socket, link: Link, stop: Stop, rules: Rules, traffic: Traffic) -> None:
        self._watch = Watch(stop, client)
        self._client = Wire(client, self._watch, link.rate)
        self._server: Wire | None = None
        self._link = link
        self._rules = rules
        self._traffic = traffic

    def run(self) -> None:
        """Until a side closes or the proxy stops. A client that speaks no HTTP, or whose server is gone, is reset."""
        reset = True
        try:
            self._watch.pause(self._link.latency)
            while self._idle() and (head := self._client.head()) is not None:
                self._one(head)
            reset = False
        except Ended as ended:
            reset = ended.reset
        except (OSError, BadMessage):
            pass
        finally:
            if self._server is not None:
                self._server.socket.close()
            self._client.close(reset=reset)

    def _idle(self) -> bool:
        """Wait for a request; False when the server has closed instead."""
        if self._server is None or self._client.pending:
            return True
        server = self._server.socket
        return server not in self._watch.wait((self._client.socket, select.POLLIN), (server, select.POLLIN))

    def _one(self, head: Head) -> None:
        """One request. Raises Ended, OSError, BadMessage: then there is no other on this connection."""
        request = Request.of(head)
        action = self._rules.choose(request)
        seen = self._traffic.begin(request, "" if type(action) is Action else type(action).__name__)
        if isinstance(action, Status):
            self._refuse(head, seen, action)
            return
        server = self._connected()
        early = self._ask(server, self._changed(head, action), seen)
        answer = self._final(server) if early is None else early
        self._answer(server, head, answer, action, seen)
        if early is not None:  # whether the body comes after all, only the client knows
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

    def _ask(self, server: Wire, head: Head, seen: Seen) -> Head | None:
        """Hand the request on. Returns the answer when it came before the body went."""
        server.begin()
        server.send(head.raw)
        body = Body(self._client, request_frame(head))
        if _expects(head) and (early := self._invited(server)) is not None:
            return early
        try:
            bodies.send(server, body, self._received(body, seen))
        except ConnectionError:  # it may have said why before it closed
            return self._final(server)
        return None

    def _invited(self, server: Wire) -> Head | None:
        """Wait until the client sends its body, telling it what the server says. Returns the answer if that comes."""
        client = self._client.socket
        while not self._client.pending:
            if client in self._watch.wait((client, select.POLLIN), (server.socket, select.POLLIN)):
                break
            answer = _told(server)
            if answer.status >= 200:
                return answer
            self._interim(answer)
        return None

    def _final(self, server: Wire) -> Head:
        """The answer, after what comes before it has been passed on."""
        while (answer := _told(server)).status < 200:
            self._interim(answer)
        return answer

    def _interim(self, answer: Head) -> None:
        self._watch.pause(self._link.latency)
        self._client.send(answer.raw)

    def _answer(self, server: Wire, asked: Head, answer: Head, action: Action, seen: Seen) -> None:
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
            self._client.arrived()
        raise Ended(reset=isinstance(action, Reset))

    def _refuse(self, head: Head, seen: Seen, action: Status) -> None:
        """Answer in the server's place. A body that waits to be asked for is not: the connection ends instead."""
        expects = _expects(head)
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

    def _received(self, body: Body, seen: Seen) -> Iterator[Bytes]:
        for piece in body.pieces():
            self._traffic.received(seen, len(piece))
            yield piece

    def _sent(self, pieces: Iterable[Bytes], seen: Seen) -> Iterator[Bytes]:
        for piece in pieces:
            self._traffic.sent(seen, len(piece))
            yield piece


def refusal(action: Status, request: Request, *, last: bool) -> tuple[Head, bytes]:
    """The answer to a request that the server is not asked; ``last`` tells the client that the connection ends."""
    content = action.content
    if content is None:
        told = f"<Code>{escape(action.s3_code)}</Code><Message>{escape(action.s3_code)}</Message>"
        content = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{told}</Error>'.encode()
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


def _expects(head: Head) -> bool:
    return (head.get("Expect") or "").lower() == "100-continue"


def _told(server: Wire) -> Head:
    """The next head from the server; its silence ends the connection."""
    head = server.head()
    if head is None:
        raise Ended(reset=False)
    return head
