"""A file in memory is readable by the program that takes the place of the process."""

from __future__ import annotations

import os

from rwm.process import inherited_file


def test_a_program_reads_it_after_exec() -> None:
    path = inherited_file("config", "one\ntwö\n")
    descriptor = int(path.rpartition("/")[2])
    reader, writer = os.pipe()
    try:
        child = os.posix_spawn("/bin/cat", ["cat", path], {}, file_actions=[(os.POSIX_SPAWN_DUP2, writer, 1)])
        assert os.waitpid(child, 0)[1] == 0
        assert os.read(reader, 100).decode() == "one\ntwö\n"
    finally:
        for each in (reader, writer, descriptor):
            os.close(each)
