"""Times as integers (milliseconds since 1970-01-01 UTC) and as text (ISO 8601 in UTC), and durations. Pure."""

from __future__ import annotations

import re
from calendar import timegm
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime

from rwm.errors import UsageError

SECOND = 1000
HOUR = 3_600 * SECOND
DAY = 24 * HOUR

# Writing a state of a million entries formats a million times: table lookups are faster than strftime.
_EPOCH = date(1970, 1, 1).toordinal()
_DAYS_KEPT = 100_000
# Two small tables stay in the processor's cache; one of all seconds of a day does not.
_MINUTE = 60 * SECOND
_MINUTES = [f"T{minute // 60:02d}:{minute % 60:02d}:" for minute in range(24 * 60)]
_SECONDS = [f"{second:02d}" for second in range(60)]
_FRACTIONS = ["Z", *(f".{fraction:03d}Z" for fraction in range(1, SECOND))]

_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?)?\s*(Z|UTC|[+-]\d\d:?\d\d)?"
)
_DURATION = re.compile(r"(\d+)\s*(y|mo|w|d|h|m|s|)\s*")
_RESTIC_DURATION = re.compile(r"0|(?:\d+(?:y|mo?|w|d|h))+", re.ASCII)
_UNITS = {
    "y": 365 * DAY,
    "mo": 30 * DAY,
    "w": 7 * DAY,
    "d": DAY,
    "h": HOUR,
    "m": 60 * SECOND,
    "s": SECOND,
}


LAST_TIME = 253_402_300_799_999
"""The last millisecond of the year 9999: the last time that :func:`iso` formats."""


def iso(time: int) -> str:
    """Format a time as ``2026-11-20T10:00:00Z``, with milliseconds unless they are 0."""
    clock = f"{_MINUTES[time % DAY // _MINUTE]}{_SECONDS[time // SECOND % 60]}"
    return f"{_DAYS[time // DAY]}{clock}{_FRACTIONS[time % SECOND]}"


def iso_second(time: int) -> str:
    """Format the second that a time is in."""
    return iso(time // SECOND * SECOND)


def iso_all(times: Iterable[int]) -> list[str]:
    """Format many times as :func:`iso` does."""
    days, minutes, seconds, fractions = _DAYS, _MINUTES, _SECONDS, _FRACTIONS
    return [
        f"{days[time // DAY]}{minutes[time % DAY // _MINUTE]}{seconds[time // SECOND % 60]}{fractions[time % SECOND]}"
        for time in times
    ]


class _Days(dict[int, str]):
    """Formatted dates by the number of days since 1970-01-01."""

    def __missing__(self, number: int) -> str:
        if len(self) >= _DAYS_KEPT:
            self.clear()
        self[number] = text = date.fromordinal(_EPOCH + number).isoformat()
        return text


_DAYS = _Days()


def parse_iso(text: str) -> int:
    """Parse an ISO 8601 time: any precision and offset (default UTC), or a date alone (midnight).

    The inverse of :func:`iso`. Raises ValueError.
    """
    match = _ISO.fullmatch(text.strip())
    if not match:
        raise ValueError(f"not an ISO 8601 time: {text!r}")
    year, month, day, hour, minute, second, fraction, zone = match.groups(default="")
    moment = datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), tzinfo=UTC)
    if zone[:1] in ("+", "-"):
        shift = timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
        try:
            moment = moment - shift if zone[0] == "+" else moment + shift
        except OverflowError as error:
            raise ValueError(f"not a time between the years 1 and 9999: {text!r}") from error
    return timegm(moment.utctimetuple()) * SECOND + int((fraction + "000")[:3])


def parse_time(text: str) -> int:
    """Parse a time from the command line. Raises UsageError with an example."""
    try:
        return parse_iso(text)
    except ValueError as error:
        raise UsageError(f"invalid time {text!r}", hint="write it as 2026-11-20T10:00:00Z") from error


def looks_like_time(text: str) -> bool:
    """Whether the text is a time and not a state id (an id is hexadecimal and has no ``-``)."""
    return bool(re.match(r"\d{4}-\d\d-\d\d", text))


def parse_http_date(text: str) -> int:
    """Parse the ``Date`` header of an HTTP response. Raises ValueError."""
    return timegm(parsedate_to_datetime(text).utctimetuple()) * SECOND


def parse_duration(text: str) -> int:
    """Parse ``90s``, ``15m``, ``12h``, ``30d``, ``2w``, ``6mo``, ``1y``, or a sum such as ``1d12h``, to milliseconds.

    ``0`` needs no unit. A month is 30 days, a year 365. Raises UsageError.
    """
    rest, total = text.strip(), 0
    while match := _DURATION.match(rest):
        count, unit = int(match[1]), match[2]
        if not unit and count:
            break
        total += count * _UNITS.get(unit, 0)
        rest = rest[match.end() :]
    if rest or not text.strip():
        raise UsageError(f"invalid duration {text!r}", hint="write it as 30d, 12h, 1d12h or 0")
    return total


def parse_long_duration(text: str) -> int:
    """Parse a duration as :func:`parse_duration` does, where ``m`` could be meant as months: refused. UsageError."""
    if re.search(r"\d\s*m(?!o)", text):
        raise UsageError(f"{text!r} can mean minutes or months", hint="write 6mo for months, 360s for minutes")
    return parse_duration(text)


def parse_restic_duration(text: str) -> int:
    """Parse a duration as restic's keep rules write it (``2y5m7d3h``: m are months), to milliseconds.

    ``w`` and ``mo`` are understood too, and ``0``. Raises UsageError.
    """
    if not _RESTIC_DURATION.fullmatch(text):
        raise UsageError(f"invalid duration {text!r}", hint="write it as 30d, 6m (months), 1y or 2y5m7d3h")
    return parse_duration(re.sub("m(?!o)", "mo", text))
