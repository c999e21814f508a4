"""The server's clock, by which LastModified is given.

The Date header may be of another clock, that of a gateway. What is compared with times of objects needs theirs.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from rwm.errors import S3Error
from rwm.layout import CLOCK_KEY
from rwm.location import Location
from rwm.s3.versions import SETTLE
from rwm.times import SECOND

if TYPE_CHECKING:
    from rwm.s3.client import S3


class ServerClock(NamedTuple):
    """A whole second of the clock of LastModified, in milliseconds.

    Where the account cannot measure that clock (``is_measured``), it is that of the Date header. ``ahead`` is by how
    much the Date header was ahead of it, negative if behind; 0 if they agree within a second. ``rest`` is how much of
    the second was left, in milliseconds; None if the Date header tells its end.
    """

    second: int
    is_measured: bool
    ahead: int = 0
    rest: int | None = None

    def wait_until_over(self, s3: S3, bucket: str) -> None:
        """Wait until the second is over, because some servers have times of whole seconds only."""
        if self.rest is None:
            s3.wait_for_tick(bucket, self.second)
        else:
            time.sleep(self.rest / SECOND + SETTLE)


def wait_for_next_second() -> None:
    """Wait until a second in which something was written is over, whatever the clock."""
    time.sleep(1 + SETTLE)


def read_clock(s3: S3, location: Location) -> ServerClock:
    """The server's clock, from an upload that is begun and aborted; without permission for it from the Date header."""
    date = s3.server_time(location.bucket)
    try:
        stamp = s3.stamp_time(location.bucket, location.key(CLOCK_KEY))
    except S3Error:
        return ServerClock(date, is_measured=False)
    second = stamp // SECOND * SECOND
    if date <= second <= date + SECOND:
        return ServerClock(date, is_measured=True)
    return ServerClock(second, is_measured=True, ahead=date - second, rest=SECOND - stamp % SECOND)
