"""A file in memory for a program that takes the place of this process."""

from __future__ import annotations

import os


def inherited_file(name: str, text: str) -> str:
    """The path of a file with the text, for this process and the program that it becomes by exec. No other process can
    open it, and it ends with the program. ``name`` is shown by tools that list open files.
    """
    descriptor = os.memfd_create(name, 0)  # without MFD_CLOEXEC
    with open(descriptor, "w", closefd=False) as file:
        file.write(text)
    return f"/proc/self/fd/{descriptor}"
