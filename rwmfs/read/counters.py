"""What a mount has done since it began, for its log and for whoever asks with SIGUSR1. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """All but the numbers of requests and events are bytes. Touched by the trio thread only."""

    served: int = 0
    """Handed to the kernel."""

    fetched: int = 0
    """Came from S3."""

    requests: int = 0
    """GETs that brought them."""

    from_disk: int = 0
    """Came from the cache on disk instead."""

    missed: int = 0
    """Of ``served``, what somebody had to wait for S3 for: it was neither in memory nor on disk nor on its way."""

    wasted: int = 0
    """Of ``fetched``, what left the memory without having been read by anybody."""

    retried: int = 0
    """Requests that were made again."""

    failed: int = 0
    """Reads that ended in an error."""

    @property
    def hit_rate(self) -> float:
        """The part of ``served`` that nobody had to ask S3 for when it was wanted, 0 to 1; 1 when nothing was."""
        return 1 - self.missed / self.served if self.served else 1.0

    def line(self) -> str:
        """All of it on one line."""
        return (
            f"served {_mib(self.served)}, fetched {_mib(self.fetched)} in {self.requests} requests, "
            f"from disk {_mib(self.from_disk)}, wasted {_mib(self.wasted)}, hit rate {self.hit_rate:.1%}, "
            f"{self.retried} retried, {self.failed} failed"
        )


def _mib(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB"
