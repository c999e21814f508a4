"""Faults: which requests they meet, and what they do to them. Heads are changed by pure functions of heads.

``after_bytes`` counts bytes of the answer's body; 0 is before its head. The server is asked all the same: what was
to be written is written, only the answer does not come.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias
from urllib.parse import parse_qs, unquote, urlsplit

from bench.proxy import body
from bench.proxy.message import Head
from bench.proxy.wire import Bytes


class Request(NamedTuple):
    """What a request asks for. ``path`` is decoded; ``query`` has the first value of each name; ``range`` as sent."""

    method: str
    path: str
    query: Mapping[str, str]
    range: str | None

    @classmethod
    def of(cls, head: Head) -> Request:
        """Raises BadMessage."""
        method, target, _ = head.words
        url = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        return cls(method, unquote(url.path), query, head.get("Range"))


Predicate: TypeAlias = Callable[[Request], bool]


@dataclass(frozen=True)
class Matching:
    """A predicate that can be sent to another process, see :func:`matching`."""

    method: str | None = None
    path: str | None = None
    query: Mapping[str, str | None] = field(default_factory=dict)
    range: str | None = None

    def __call__(self, request: Request) -> bool:
        return (
            (self.method is None or self.method == request.method)
            and (self.path is None or re.search(self.path, request.path) is not None)
            and all(
                name in request.query if value is None else request.query.get(name) == value
                for name, value in self.query.items()
            )
            and (self.range is None or re.search(self.range, request.range or "") is not None)
        )


ANY = Matching()
"""Every request."""


def matching(
    method: str | None = None,
    path_regex: str | None = None,
    query: Mapping[str, str | None] | None = None,
    range_regex: str | None = None,
) -> Matching:
    """Requests of that method, with the expression found in the decoded path (``/bucket/key``) and in the Range header.

    ``query`` has names that must be there, with their value or any (None). What is left out may be anything.
    """
    return Matching(method, path_regex, dict(query or {}), range_regex)


class Action:
    """What a fault does. This one does nothing."""

    def asked(self, request: Head) -> Head:
        """What the server is asked instead."""
        return request

    def answered(self, answer: Head, request: Head) -> Head:
        """What the client gets as the head; ``request`` is what it asked."""
        return answer

    def body(self, pieces: Iterable[Bytes]) -> Iterable[Bytes]:
        """What the client gets as the body."""
        return pieces


@dataclass(frozen=True)
class Status(Action):
    """An error in S3's words, or ``content`` if it is given. The server is not asked."""

    code: int
    s3_code: str = ""
    content: bytes | None = None


@dataclass(frozen=True)
class Reset(Action):
    """The connection is reset after so many bytes of the body."""

    after_bytes: int = 0


@dataclass(frozen=True)
class Close(Action):
    """The connection is closed after so many bytes of the body, which is shorter than its head said."""

    after_bytes: int = 0


@dataclass(frozen=True)
class Stall(Action):
    """Nothing comes for so many seconds, or until the proxy or the client ends it."""

    after_bytes: int = 0
    seconds: float | None = None


@dataclass(frozen=True)
class Flip(Action):
    """One byte of the body is wrong."""

    offset: int

    def body(self, pieces: Iterable[Bytes]) -> Iterator[Bytes]:
        return body.flipped(pieces, self.offset)


@dataclass(frozen=True)
class Wrong(Action):
    """Every byte of the body is wrong."""

    def body(self, pieces: Iterable[Bytes]) -> Iterator[Bytes]:
        return body.inverted(pieces)


@dataclass(frozen=True)
class Shorten(Action):
    """The last ``by`` bytes are missing, and the head says so."""

    by: int

    def answered(self, answer: Head, request: Head) -> Head:
        return _resized(answer, -self.by)

    def body(self, pieces: Iterable[Bytes]) -> Iterator[Bytes]:
        return body.shortened(pieces, self.by)


@dataclass(frozen=True)
class Lengthen(Action):
    """There are ``by`` zeros more, and the head says so."""

    by: int

    def answered(self, answer: Head, request: Head) -> Head:
        return _resized(answer, self.by)

    def body(self, pieces: Iterable[Bytes]) -> Iterator[Bytes]:
        return body.lengthened(pieces, self.by)


@dataclass(frozen=True)
class WrongRange(Action):
    """The bytes of the range that lies ``shift`` bytes further on.

    ``Content-Range`` tells it, unless it is not ``honest``. A request without a range of the usual form is let be.
    """

    shift: int
    honest: bool = True

    def asked(self, request: Head) -> Head:
        span = _span(request.get("Range") or "")
        if span is None or span[0] + self.shift < 0:
            return request
        return request.replaced("Range", f"bytes={span[0] + self.shift}-{span[1] + self.shift}")

    def answered(self, answer: Head, request: Head) -> Head:
        span, told = _span(request.get("Range") or ""), answer.get("Content-Range")
        if self.honest or span is None or told is None:
            return answer
        return answer.replaced("Content-Range", f"bytes {span[0]}-{span[1]}/{told.partition('/')[2]}")


@dataclass(frozen=True)
class IgnoreRange(Action):
    """The whole object, with status 200."""

    def asked(self, request: Head) -> Head:
        return request.replaced("Range", None)


@dataclass(frozen=True)
class WrongVersion(Action):
    """The answer says that it is another version."""

    version_id: str

    def answered(self, answer: Head, request: Head) -> Head:
        return answer.replaced("x-amz-version-id", self.version_id)


@dataclass(frozen=True)
class Rule:
    """An action for the requests that match: ``count`` times or always, after the first ``after`` were let be."""

    action: Action
    when: Predicate = ANY
    count: int | None = None
    after: int = 0


class Rules:
    """The rules in force, in their order. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[_Counted] = []

    def add(self, rule: Rule) -> None:
        """Put it behind the others."""
        with self._lock:
            self._rules.append(_Counted(rule))

    def clear(self) -> None:
        """From now on nothing happens to a request."""
        with self._lock:
            self._rules.clear()

    def choose(self, request: Request) -> Action:
        """What the first rule does whose turn it is. A rule that comes after it does not count the request."""
        with self._lock:
            return next((each.rule.action for each in self._rules if each.due(request)), Action())


class _Counted:
    """A rule, and how many requests matched it."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._matched = 0

    def due(self, request: Request) -> bool:
        """Whether it is this rule's turn; counts the request."""
        if not self.rule.when(request):
            return False
        self._matched += 1
        turn = self._matched - self.rule.after
        return turn > 0 and (self.rule.count is None or turn <= self.rule.count)


def _resized(answer: Head, change: int) -> Head:
    """A head for a body that is so much longer; what part of an object it is goes with it."""
    length, told = answer.get("Content-Length"), answer.get("Content-Range")
    if length is None:
        return answer
    size = max(0, int(length) + change)
    answer = answer.replaced("Content-Length", str(size))
    span = _span(told or "")
    if told is None or span is None or not size:
        return answer
    first, last = span[0], span[0] + size - 1
    total = told.partition("/")[2]
    if total.isdecimal():
        total = str(max(int(total), last + 1))
    return answer.replaced("Content-Range", f"bytes {first}-{last}/{total}")


def _span(text: str) -> tuple[int, int] | None:
    """First and last byte of ``bytes=0-9`` or ``bytes 0-9/100``."""
    found = re.match(r"bytes[= ](\d+)-(\d+)(?:/|$)", text)
    return None if found is None else (int(found[1]), int(found[2]))
