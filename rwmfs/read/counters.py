"""What a mount has done since it started, for its log and for SIGUSR1. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """All are bytes unless they say otherwise. Only the trio thread uses them."""

    served: int = 0
    """Returned to the kernel."""

    fetched: int = 0
    """Read from S3."""

    requests: int = 0
    """Number of GETs to S3, retries included."""

    from_disk: int = 0
    """Read from the disk cache."""

    missed: int = 0
    """The part of ``served`` for which a read waited for S3: not in memory, not on disk and not in flight."""

    wasted: int = 0
    """The part of ``fetched`` that was evicted before it was read."""

    retried: int = 0
    """Number of retries."""

    failed: int = 0
    """Number of reads that returned an error."""

    @property
    def hit_rate(self) -> float:
        """The part of ``served`` for which no read waited for S3, 0 to 1; 1 before the first read."""
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
