"""Where bytes of an object went before they were proven, and of which places a verdict tells something. Pure.

The kernel keeps what it was given, under the number of a place. A verdict is about the bytes that were hashed for it.
What had left the memory by then may have been others, when a server does not always give the same.
"""

from __future__ import annotations


class UnverifiedReads:
    """Of one object version. True while there are places that may have something unproven."""

    __slots__ = ("_doubtful", "_gone", "_places")

    def __init__(self) -> None:
        self._places: set[int] = set()
        self._doubtful: set[int] = set()  # of those, the ones that no verdict is about
        self._gone = False  # something that was handed out, since the last verdict

    def __bool__(self) -> bool:
        return bool(self._places)

    def add(self, place: int) -> None:
        """Bytes are handed out there."""
        self._places.add(place)

    def leave(self, *, hashed: bool) -> None:
        """Bytes that were handed out leave the memory; ``hashed`` says that the proof has them."""
        self._gone = True
        if not hashed:
            self._doubtful |= self._places

    def prove_anew(self) -> None:
        """Another proof begins, with bytes that may come again."""
        if self._gone:
            self._doubtful |= self._places

    def proven(self) -> set[int]:
        """The content is right: the places that have nothing any more that is not proven."""
        proven = self._places - self._doubtful
        self._places -= proven
        self._gone = False
        return proven

    def clear(self) -> None:
        """The content is wrong, and whoever has something of it gets nothing more."""
        self._places.clear()
        self._doubtful.clear()
        self._gone = False
