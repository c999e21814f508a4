"""Words as they are typed in a shell. Pure."""

from __future__ import annotations

import os
import shlex


def quote(word: object) -> str:
    """The word as one word of a POSIX shell; with control characters, which a terminal must not get, of bash or zsh."""
    text = str(word)
    if text.isprintable():
        return shlex.quote(text)
    return "$'" + "".join(map(_escaped, text)) + "'"


def _escaped(character: str) -> str:
    if character in "\\'":
        return "\\" + character
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(character))
