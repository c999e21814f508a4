"""Read one JSON object as a stream: member by member, and large arrays element by element. Pure.

Memory does not grow with the document: each part has a size limit, and is decoded from a window that slides over the
text. Every fault raises a BadState that says where it is.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any, NamedTuple

from rwm.errors import BadState

ELEMENT_MAX = 64 << 10
"""Maximum length of an array element, in characters."""

MEMBER_MAX = 1 << 20
"""Maximum length of any other value, in characters."""

NAME_MAX = 1 << 10
"""Maximum length of a member's name, in characters, with its quotes and escapes."""

MEMBERS_MAX = 1000
"""Maximum number of members. Their names are kept in memory, to detect a repeated one."""

_END_MARGIN = 16  # characters: a fault so close to the end of a text may mean that the text is incomplete
_spaces = re.compile(r"[ \t\n\r]*").match


class Member(NamedTuple):
    """A member of the object; with a ``number``, one element of a member that is an array."""

    name: str
    number: int | None
    value: Any


def members(content: Iterable[bytes], arrays: Collection[str]) -> Iterator[Member]:
    """The members of the JSON object ``content``, in its order. Arrays named in ``arrays`` come element by element.

    An empty array yields nothing. After a fault, the results before it must be discarded; repeated members or fields,
    NaN, Infinity and data after the object are faults too.
    """
    window = _Window(content)
    first = window.next()
    if first != "{":
        raise BadState("not a JSON object") if first or not window.broken else window.fault("")
    names: set[str] = set()
    window.step()
    while window.has_another("}", is_first=not names):
        name = _name(window, names)
        if name in arrays and window.next() == "[":
            yield from _elements(window, name)
        else:
            yield Member(name, None, window.value(MEMBER_MAX))
    if window.next() or window.broken:
        window.at = "its end"
        raise window.fault("something follows")


def _name(window: _Window, names: set[str]) -> str:
    window.at, window.number = f"field {len(names) + 1}", None
    if window.next() != '"':
        raise window.fault("a name is missing")
    name: str = window.value(NAME_MAX)
    if name in names:
        raise window.fault(f"{_label(name)} is repeated")
    if len(names) == MEMBERS_MAX:
        raise BadState(f"more than {MEMBERS_MAX} fields")
    names.add(name)
    window.at = _label(name)
    if window.next() != ":":
        raise window.fault("':' is missing")
    window.step()
    return name


def _label(name: str) -> str:
    """A name for messages, in one line."""
    return name if name.isidentifier() and len(name) <= 40 else repr(name[:40])


def _elements(window: _Window, name: str) -> Iterator[Member]:
    window.step()
    number = 0
    while window.has_another("]", is_first=not number):
        window.number = number
        yield Member(name, number, window.value(ELEMENT_MAX))
        number += 1
    window.number = None


# --- the window --------------------------------------------------------------------------------------


class _Window:
    """A part of the text and the position in it. ``at`` and ``number`` name that position in messages.

    ``broken`` says why the rest of the content cannot be decoded. It is raised only when the position gets there, so
    that the reported fault does not depend on how the content is divided into pieces.
    """

    def __init__(self, content: Iterable[bytes]) -> None:
        self.at = ""
        self.number: int | None = None
        self.broken = ""
        self._pieces = iter(content)
        self._decode = codecs.getincrementaldecoder("utf-8")("strict").decode
        self._bytes = 0
        self._text = ""
        self._position = 0
        self._ended = False

    def fault(self, why: str) -> BadState:
        """An error at the position."""
        return self._fault(why, 0)

    def next(self) -> str:
        """Skip white space and return the next character, "" at the end."""
        while True:
            self._fill(0)
            self._position = _spaces(self._text, self._position).end()  # type: ignore[union-attr]  # it always matches
            if self._position < len(self._text):
                return self._text[self._position]
            if self._ended:
                return ""

    def step(self) -> None:
        """Skip the character that :meth:`next` returned."""
        self._position += 1

    def has_another(self, close: str, *, is_first: bool) -> bool:
        """Skip the comma before another part, or ``close``; returns whether there is another part."""
        character = self.next()
        if character == close:
            self.step()
            return False
        if is_first:
            return True
        if character != ",":
            raise self.fault(f"',' or '{close}' is missing")
        self.step()
        self.next()
        return True

    def value(self, limit: int) -> Any:
        """Read the JSON value at the position, of up to ``limit`` characters."""
        self.next()
        self._fill(limit)
        try:
            value, end = _decode(self._text, self._position)
        except (ValueError, RecursionError) as error:
            raise self._undecodable(limit) from error
        if end - self._position > limit:
            raise self._undecodable(limit)
        self._position = end
        return value

    def _undecodable(self, limit: int) -> BadState:
        """The error for an invalid value. Depends only on the characters that can belong to it."""
        text = self._text[self._position : self._position + limit + 1]
        is_long = len(text) > limit
        why = ""
        try:
            _decode(text, 0)
        except json.JSONDecodeError as error:
            is_long = is_long and (error.msg.startswith("Unterminated") or error.pos > limit - _END_MARGIN)
            why = error.msg
        except RecursionError:
            is_long, why = False, "nested too deeply"
        except ValueError as error:
            is_long, why = False, str(error)[:100]
        if is_long:
            return BadState(f"{self._where()}: longer than {limit} characters")
        return self._fault(why, limit)

    def _fault(self, why: str, ahead: int) -> BadState:
        """An error at the position, or up to ``ahead`` characters after it."""
        if self.broken and len(self._text) - self._position <= ahead:
            why = self.broken
        elif self._position >= len(self._text):
            why = "it ends too early"
        where = self._where()
        return BadState("not a JSON document: " + (f"{where}: {why}" if where else why))

    def _where(self) -> str:
        return self.at if self.number is None else f"{self.at}[{self.number}]"

    def _fill(self, count: int) -> None:
        """Read until more than ``count`` characters follow the position, or the content ends."""
        ahead = len(self._text) - self._position
        if ahead > count or self._ended:
            return
        parts = [self._text[self._position :]]
        while ahead <= count and not self._ended:
            parts.append(self._decode_piece())
            ahead += len(parts[-1])
        self._text, self._position = "".join(parts), 0

    def _decode_piece(self) -> str:
        piece = next(self._pieces, None)
        self._bytes += len(piece or b"")
        self._ended = piece is None
        try:
            return self._decode(piece or b"", final=piece is None)
        except UnicodeDecodeError as error:
            self.broken = f"byte {self._bytes - len(error.object) + error.start} is not UTF-8"
            self._ended = True
            return error.object[: error.start].decode()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a field is repeated")
    return value


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not a number")


_decode = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse_constant).raw_decode
