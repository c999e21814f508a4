"""The summary that ``restic backup`` prints at its end. Pure."""

from __future__ import annotations

import json
import re

# Printed by restic 0.14 and 0.18 alike; on a terminal after a sequence that clears the line.
_TEXT = re.compile(r"(?:\x1b\[[0-9;]*[A-Za-z])*processed (\d+) files, ")


def processed_files(output: str) -> int | None:
    """The number of files that restic processed, from its text or JSON output; None without one (``--quiet``).

    The last summary counts, because ``--verbose`` prints file names before it. In JSON it is the field
    ``total_files_processed`` of the message ``summary`` (restic's documentation, "Scripting").
    """
    for line in reversed(re.split(r"[\r\n]+", output)):
        if found := _TEXT.match(line):
            return int(found[1])
        if line.startswith("{") and (files := _json_summary(line)) is not None:
            return files
    return None


def _json_summary(line: str) -> int | None:
    try:
        message = json.loads(line)
    except ValueError:
        return None
    files = message.get("total_files_processed") if message.get("message_type") == "summary" else None
    return files if isinstance(files, int) else None
