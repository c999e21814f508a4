"""Parse the counters that a mount writes to its log. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple, Self

from bench.table import MIB

_LINE = re.compile(
    r"(?:so far|unmounted .*): served ([\d.]+) MiB, fetched ([\d.]+) MiB in (\d+) requests, "
    r"from disk ([\d.]+) MiB, wasted ([\d.]+) MiB, "
)


class MountCounters(NamedTuple):
    """Bytes, to a tenth of a MiB, and the number of requests; see :class:`rwmfs.read.counters.Counters`."""

    served: float = 0
    fetched: float = 0
    requests: float = 0
    from_disk: float = 0
    wasted: float = 0

    def since(self, before: Self) -> MountCounters:
        """The difference to earlier counters."""
        return MountCounters(*(now - then for now, then in zip(self, before, strict=True)))


def parse_counters(log: str) -> list[MountCounters]:
    """All counters in the log of a mount, oldest first."""
    return [
        MountCounters(float(served) * MIB, float(fetched) * MIB, int(requests), float(disk) * MIB, float(wasted) * MIB)
        for served, fetched, requests, disk, wasted in _LINE.findall(log)
    ]
