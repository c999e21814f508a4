"""HTTP/1.1 heads, and the framing of bodies. Pure. Heads keep their bytes, because signatures cover them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Self


class BadMessage(Exception):
    """The message is not valid HTTP/1.1."""


class Open(Enum):
    """The framing of a body without a length in its head."""

    CHUNKED = "chunked"
    UNTIL_CLOSE = "until the connection is closed"


Frame = int | Open
"""The length of a body, or how its end is marked."""


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a request or an answer, with the empty line."""

    raw: bytes

    @property
    def words(self) -> tuple[str, str, str]:
        """The first line: method, target and protocol, or protocol, status and reason. Raises BadMessage."""
        first = self.raw.partition(b"\r\n")[0].decode("latin-1")
        words = (*first.split(" ", 2), "")[:3]
        if len(words) < 3 or not any(word.startswith("HTTP/1.") for word in words):
            raise BadMessage(f"not the first line of HTTP/1.1: {first[:80]!r}")
        return words[0], words[1], words[2]

    @property
    def status(self) -> int:
        """The status of an answer. Raises BadMessage."""
        return _number(self.words[1], 10)

    def get(self, name: str) -> str | None:
        """The value of a header, the first if there are several."""
        found = self._line(name).search(self.raw)
        return None if found is None else found[1].decode("latin-1").strip()

    def replaced(self, name: str, value: str | None) -> Self:
        """A copy with this header once, at the end; without it if ``value`` is None."""
        raw = self._line(name).sub(b"", self.raw)
        if value is not None:
            raw = b"%b%b: %b\r\n\r\n" % (raw[:-2], name.encode("latin-1"), value.encode("latin-1"))
        return type(self)(raw)

    def renamed(self, target: str) -> Self:
        """A copy of the request with another target."""
        method, _, protocol = self.words
        rest = self.raw.partition(b"\r\n")[2]
        return type(self)(f"{method} {target} {protocol}\r\n".encode("latin-1") + rest)

    @staticmethod
    def _line(name: str) -> re.Pattern[bytes]:
        return re.compile(rb"(?im)^%b:([^\r\n]*)\r\n" % re.escape(name.encode("latin-1")))


def request_frame(head: Head) -> Frame:
    """The framing of the body of a request; without headers on it there is none. Raises BadMessage."""
    frame = _frame(head)
    return 0 if frame is Open.UNTIL_CLOSE else frame


def answer_frame(head: Head, method: str) -> Frame:
    """The framing of the body of an answer to a method. Raises BadMessage."""
    if method == "HEAD" or head.status < 200 or head.status in (204, 304):
        return 0
    return _frame(head)


def chunk_size(line: bytes) -> int:
    """The size in the first line of a chunk. Raises BadMessage."""
    return _number(line.partition(b";")[0].strip().decode("latin-1"), 16)


def _frame(head: Head) -> Frame:
    if (head.get("Transfer-Encoding") or "").lower() == "chunked":
        return Open.CHUNKED
    length = head.get("Content-Length")
    return Open.UNTIL_CLOSE if length is None else _number(length, 10)


def _number(text: str, base: int) -> int:
    """Parse a number as HTTP defines it: no sign, no blanks, no underscores."""
    if not re.fullmatch("[0-9]{1,18}" if base == 10 else "[0-9A-Fa-f]{1,15}", text):
        raise BadMessage(f"not a number: {text[:80]!r}")
    return int(text, base)
