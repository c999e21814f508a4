"""A file in memory for the program that replaces this process by exec."""

from __future__ import annotations

import os


def inherited_file(name: str, text: str) -> str:
    """Create a file in memory with the text and return its path, for this process and the program that replaces it.

    The path leads to it in that process only, and it is gone when the program ends. Tools that list open files show
    ``name``.
    """
    descriptor = os.memfd_create(name, 0)  # without MFD_CLOEXEC
    with open(descriptor, "w", closefd=False) as file:
        file.write(text)
    return f"/proc/self/fd/{descriptor}"
