"""Faults: which requests they match, and how they change requests and answers. Heads are changed by pure functions.

``after_bytes`` counts bytes of the body of the answer; 0 is before its head. The request still reaches the server: a
write takes effect, only its answer is lost.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import NamedTuple, TypeAlias
from urllib.parse import parse_qs, unquote, urlsplit

from bench.proxy import body
from bench.proxy.message import Head
from bench.proxy.wire import Bytes


class Request(NamedTuple):
    """A parsed request. ``path`` is decoded; ``query`` has the first value of each name; ``range`` is as sent."""

    method: str
    path: str
    query: Mapping[str, str]
    range: str | None

    @classmethod
    def of(cls, head: Head) -> Request:
        """Parse a head. Raises BadMessage."""
        method, target, _ = head.words
        url = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        return cls(method, unquote(url.path), query, head.get("Range"))


Predicate: TypeAlias = Callable[[Request], bool]


@dataclass(frozen=True)
class Matching:
    """A predicate that can be pickled, see :func:`matching`."""

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
    """A predicate on the method, the decoded path (``/bucket/key``) and the Range header, by regular expressions.

    ``query`` has required names, with a value or any (None). Omitted arguments match anything.
    """
    return Matching(method, path_regex, dict(query or {}), range_regex)


class Action:
    """How a fault changes a request and its answer. This one changes nothing."""

    def asked(self, request: Head) -> Head:
        """The request that the server gets."""
        return request

    def answered(self, answer: Head, request: Head) -> Head:
        """The head that the client gets; ``request`` is the one it sent."""
        return answer

    def body(self, pieces: Iterable[Bytes]) -> Iterable[Bytes]:
        """The body that the client gets."""
        return pieces


@dataclass(frozen=True)
class Status(Action):
    """Answer with an S3 error, or with ``content``. The request does not reach the server."""

    code: int
    s3_code: str = ""
    content: bytes | None = None


@dataclass(frozen=True)
class Reset(Action):
    """Reset the connection after ``after_bytes`` of the body."""

    after_bytes: int = 0


@dataclass(frozen=True)
class Close(Action):
    """Close the connection after ``after_bytes`` of the body, which is then shorter than announced."""

    after_bytes: int = 0


@dataclass(frozen=True)
class Stall(Action):
    """Send nothing for ``seconds`` (None: until the proxy or the client closes)."""

    after_bytes: int = 0
    seconds: float | None = None


@dataclass(frozen=True)
class Flip(Action):
    """Make one byte of the body wrong."""

    offset: int

    def body(self, pieces: Iterable[Bytes]) -> Iterator[Bytes]:
        return body.flipped(pieces, self.offset)


@dataclass(frozen=True)
class Wrong(Action):
    """Make every byte of the body wrong."""

    def body(self, pieces: Iterable[Bytes]) -> Iterator[Bytes]:
        return body.inverted(pieces)


@dataclass(frozen=True)
class Shorten(Action):
    """Remove the last ``by`` bytes, consistently with the head."""

    by: int

    def answered(self, answer: Head, request: Head) -> Head:
        return _resized(answer, -self.by)

    def body(self, pieces: Iterable[Bytes]) -> Iterator[Bytes]:
        return body.shortened(pieces, self.by)


@dataclass(frozen=True)
class Lengthen(Action):
    """Append ``by`` zeros, consistently with the head."""

    by: int

    def answered(self, answer: Head, request: Head) -> Head:
        return _resized(answer, self.by)

    def body(self, pieces: Iterable[Bytes]) -> Iterator[Bytes]:
        return body.lengthened(pieces, self.by)


@dataclass(frozen=True)
class WrongRange(Action):
    """Answer with the range ``shift`` bytes further on.

    ``Content-Range`` has the shifted range if ``honest``, else the requested one. Other requests are unchanged.
    """

    shift: int
    honest: bool = True

    def asked(self, request: Head) -> Head:
        span = _span(request.get("Range") or "")
        if span is None or span[0] + self.shift < 0:
            return request
        return request.replaced("Range", f"bytes={span[0] + self.shift}-{span[1] + self.shift}")

    def answered(self, answer: Head, request: Head) -> Head:
        span, content_range = _span(request.get("Range") or ""), answer.get("Content-Range")
        if self.honest or span is None or content_range is None:
            return answer
        return answer.replaced("Content-Range", f"bytes {span[0]}-{span[1]}/{content_range.partition('/')[2]}")


@dataclass(frozen=True)
class IgnoreRange(Action):
    """Answer with the whole object and status 200."""

    def asked(self, request: Head) -> Head:
        return request.replaced("Range", None)


@dataclass(frozen=True)
class WrongVersion(Action):
    """Answer with another version id in the header."""

    version_id: str

    def answered(self, answer: Head, request: Head) -> Head:
        return answer.replaced("x-amz-version-id", self.version_id)


@dataclass(frozen=True)
class ShiftDate(Action):
    """Answer with a Date header that is so many seconds later, as a gateway with another clock does."""

    seconds: int

    def answered(self, answer: Head, request: Head) -> Head:
        date = answer.get("Date")
        if date is None:
            return answer
        shifted = parsedate_to_datetime(date) + timedelta(seconds=self.seconds)
        return answer.replaced("Date", format_datetime(shifted, usegmt=True))


@dataclass(frozen=True)
class Rule:
    """An action for matching requests: ``count`` times (None: always), after skipping the first ``after``."""

    action: Action
    when: Predicate = ANY
    count: int | None = None
    after: int = 0


class Rules:
    """The active rules in order. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[_Counted] = []

    def add(self, rule: Rule) -> None:
        """Append a rule."""
        with self._lock:
            self._rules.append(_Counted(rule))

    def clear(self) -> None:
        """Remove all rules."""
        with self._lock:
            self._rules.clear()

    def choose(self, request: Request) -> Action:
        """The action of the first rule that is due. Later rules do not count the request."""
        with self._lock:
            return next((each.rule.action for each in self._rules if each.due(request)), Action())


class _Counted:
    """A rule with the number of requests that matched."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._matched = 0

    def due(self, request: Request) -> bool:
        """Whether the rule applies to this request; counts the request."""
        if not self.rule.when(request):
            return False
        self._matched += 1
        turn = self._matched - self.rule.after
        return turn > 0 and (self.rule.count is None or turn <= self.rule.count)


def _resized(answer: Head, change: int) -> Head:
    """Adjust Content-Length and Content-Range to a body that is ``change`` bytes longer."""
    length, content_range = answer.get("Content-Length"), answer.get("Content-Range")
    if length is None:
        return answer
    size = max(0, int(length) + change)
    answer = answer.replaced("Content-Length", str(size))
    span = _span(content_range or "")
    if content_range is None or span is None or not size:
        return answer
    first, last = span[0], span[0] + size - 1
    total = content_range.partition("/")[2]
    if total.isdecimal():
        total = str(max(int(total), last + 1))
    return answer.replaced("Content-Range", f"bytes {first}-{last}/{total}")


def _span(text: str) -> tuple[int, int] | None:
    """Parse ``bytes=0-9`` or ``bytes 0-9/100`` to the first and last byte."""
    found = re.match(r"bytes[= ](\d+)-(\d+)(?:/|$)", text)
    return None if found is None else (int(found[1]), int(found[2]))
