"""The configuration file of the aws command, the only place for its addressing style."""

from __future__ import annotations

import configparser
import io
import re

_STYLE = re.compile(r"^\s*addressing_style\s*=\s*(\S*)\s*$", re.MULTILINE)


def config_with_addressing(text: str, style: str) -> str | None:
    """The file ``text`` with another addressing style for the default profile; None if aws has the style already.

    With a custom endpoint, aws uses the path style unless the file says ``virtual``. An invalid file counts as empty.
    """
    parser = configparser.RawConfigParser(default_section="")
    try:
        parser.read_string(text)
    except configparser.Error:
        parser = configparser.RawConfigParser(default_section="")
    settings = parser.get("default", "s3", fallback="")
    found = _STYLE.search(settings)
    if (found is not None and found[1] == "virtual") == (style == "virtual"):
        return None
    if not parser.has_section("default"):
        parser.add_section("default")
    others = [line for line in settings.splitlines() if line.strip() and not _STYLE.match(line)]
    parser.set("default", "s3", "\n" + "\n".join([*others, f"addressing_style = {style}"]))
    written = io.StringIO()
    parser.write(written)
    return written.getvalue()
