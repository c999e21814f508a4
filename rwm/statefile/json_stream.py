"""One JSON object read as a stream: its members one by one, large arrays element by element. Pure.

Memory does not grow with the document, whatever is in it: a part has a bound, and is decoded by itself from a window
that slides over the text. Every fault is a BadState that says where.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any, NamedTuple

from rwm.errors import BadState

ELEMENT_MAX = 64 << 10
"""Characters that an element of an array may have."""

MEMBER_MAX = 1 << 20
"""Characters that any other value may have."""

NAME_MAX = 1 << 10
"""Characters that the name of a member may have, as it is written with its quotes."""

MEMBERS_MAX = 1000
"""Members that the object may have: their names are kept, because none may come twice."""

_CUT = 16  # characters before the end of a text within which a fault may come from there being no more
_spaces = re.compile(r"[ \t\n\r]*").match


class Member(NamedTuple):
    """A member of the object, or, with a ``number``, one element of an array that it is."""

    name: str
    number: int | None
    value: Any


def members(content: Iterable[bytes], arrays: Collection[str]) -> Iterator[Member]:
    """The members of the object that ``content`` is, in its order; those in ``arrays``, if they are arrays, by element.

    Nothing comes of an empty array. The last has come when nothing follows the object: what was given before a fault
    is to be forgotten. A member or field twice, NaN and Infinity are faults.
    """
    window = _Window(content)
    first = window.next()
    if first != "{":
        raise BadState("not a JSON object") if first or not window.broken else window.fault("")
    names: set[str] = set()
    window.step()
    while window.goes_on("}", is_first=not names):
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
        raise window.fault(f"{_label(name)} is there twice")
    if len(names) == MEMBERS_MAX:
        raise BadState(f"more than {MEMBERS_MAX} fields")
    names.add(name)
    window.at = _label(name)
    if window.next() != ":":
        raise window.fault("':' is missing")
    window.step()
    return name


def _label(name: str) -> str:
    """A name as messages have it, in one line."""
    return name if name.isidentifier() and len(name) <= 40 else repr(name[:40])


def _elements(window: _Window, name: str) -> Iterator[Member]:
    window.step()
    number = 0
    while window.goes_on("]", is_first=not number):
        window.number = number
        yield Member(name, number, window.value(ELEMENT_MAX))
        number += 1
    window.number = None


# --- the window --------------------------------------------------------------------------------------


class _Window:
    """Some of the text, of which all before ``_place`` is done. ``at`` and ``number`` say where that is.

    ``broken`` says why the text ends before the content does. It is a fault when the place comes there, not before, so
    that the fault which is named does not depend on the pieces that the content comes in.
    """

    def __init__(self, content: Iterable[bytes]) -> None:
        self.at = ""
        self.number: int | None = None
        self.broken = ""
        self._pieces = iter(content)
        self._decode = codecs.getincrementaldecoder("utf-8")("strict").decode
        self._bytes = 0
        self._text = ""
        self._place = 0
        self._ended = False

    def fault(self, why: str) -> BadState:
        """An error at the place."""
        return self._fault(why, 0)

    def next(self) -> str:
        """The next character that is no white space, which the place moves to; "" at the end."""
        while True:
            self._fill(0)
            self._place = _spaces(self._text, self._place).end()  # type: ignore[union-attr]  # it always matches
            if self._place < len(self._text):
                return self._text[self._place]
            if self._ended:
                return ""

    def step(self) -> None:
        """Pass the character that :meth:`next` gave."""
        self._place += 1

    def goes_on(self, close: str, *, is_first: bool) -> bool:
        """Whether another part comes, or else ``close``, which is passed; parts are divided by commas."""
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
        """The JSON value here, which is passed; of up to ``limit`` characters."""
        self.next()
        self._fill(limit)
        try:
            value, end = _decode(self._text, self._place)
        except (ValueError, RecursionError) as error:
            raise self._undecodable(limit) from error
        if end - self._place > limit:
            raise self._undecodable(limit)
        self._place = end
        return value

    def _undecodable(self, limit: int) -> BadState:
        """Why there is no value here, by what may belong to it alone."""
        text = self._text[self._place : self._place + limit + 1]
        is_long = len(text) > limit
        why = ""
        try:
            _decode(text, 0)
        except json.JSONDecodeError as error:
            is_long = is_long and (error.msg.startswith("Unterminated") or error.pos > limit - _CUT)
            why = error.msg
        except RecursionError:
            is_long, why = False, "nested too deeply"
        except ValueError as error:
            is_long, why = False, str(error)[:100]
        if is_long:
            return BadState(f"{self._where()}: longer than {limit} characters")
        return self._fault(why, limit)

    def _fault(self, why: str, ahead: int) -> BadState:
        """An error at the place, or within so many characters from it."""
        if self.broken and len(self._text) - self._place <= ahead:
            why = self.broken
        elif self._place >= len(self._text):
            why = "it ends too early"
        where = self._where()
        return BadState("not a JSON document: " + (f"{where}: {why}" if where else why))

    def _where(self) -> str:
        return self.at if self.number is None else f"{self.at}[{self.number}]"

    def _fill(self, count: int) -> None:
        """Have more than ``count`` characters before the place, or all that are left."""
        ahead = len(self._text) - self._place
        if ahead > count or self._ended:
            return
        parts = [self._text[self._place :]]
        while ahead <= count and not self._ended:
            parts.append(self._more())
            ahead += len(parts[-1])
        self._text, self._place = "".join(parts), 0

    def _more(self) -> str:
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
        raise ValueError("a field is there twice")
    return value


def _refused(text: str) -> None:
    raise ValueError(f"{text} is no number")


_decode = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refused).raw_decode
