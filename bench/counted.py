"""What a mount says in its log that it has done so far, read back as numbers. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple, Self

from bench.table import MIB

_LINE = re.compile(
    r"(?:so far|unmounted .*): served ([\d.]+) MiB, fetched ([\d.]+) MiB in (\d+) requests, "
    r"from disk ([\d.]+) MiB, wasted ([\d.]+) MiB, "
)


class Counted(NamedTuple):
    """Bytes, to a tenth of a MiB, and a number of requests; see :class:`rwmfs.read.counters.Counters`."""

    served: float = 0
    fetched: float = 0
    requests: float = 0
    from_disk: float = 0
    wasted: float = 0

    def since(self, before: Self) -> Counted:
        """What came after ``before``."""
        return Counted(*(now - then for now, then in zip(self, before, strict=True)))


def counted(log: str) -> list[Counted]:
    """All that the log of a mount says, in its order."""
    return [
        Counted(float(served) * MIB, float(fetched) * MIB, int(requests), float(disk) * MIB, float(wasted) * MIB)
        for served, fetched, requests, disk, wasted in _LINE.findall(log)
    ]
