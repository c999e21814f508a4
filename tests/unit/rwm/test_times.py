"""Times and durations: parsing inverts formatting, and invalid text is a usage error."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rwm.errors import UsageError
from rwm.times import (
    DAY,
    SECOND,
    iso,
    looks_like_time,
    parse_duration,
    parse_http_date,
    parse_iso,
    parse_restic_duration,
    parse_time,
)

NOON = 1_795_176_000_000  # 2026-11-20T12:00:00Z
FIRST = -62_135_596_800_000  # 0001-01-01T00:00:00Z
LAST = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z


def test_iso_omits_zero_milliseconds() -> None:
    assert iso(NOON) == "2026-11-20T12:00:00Z"
    assert iso(NOON + 7) == "2026-11-20T12:00:00.007Z"
    assert iso(0) == "1970-01-01T00:00:00Z"
    assert iso(-1) == "1969-12-31T23:59:59.999Z"


@given(time=st.integers(FIRST, LAST))
@example(time=FIRST)
@example(time=LAST)
def test_parse_iso_is_the_inverse_of_iso(time: int) -> None:
    assert parse_iso(iso(time)) == time


@given(first=st.integers(FIRST // SECOND, LAST // SECOND), second=st.integers(FIRST // SECOND, LAST // SECOND))
def test_whole_seconds_sort_as_text_and_as_numbers_alike(first: int, second: int) -> None:
    assert (iso(first * SECOND) < iso(second * SECOND)) == (first < second)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-20T12:00:00Z",
        "2026-11-20T12:00:00",
        "2026-11-20T12:00",
        "2026-11-20 12:00:00 UTC",
        "2026-11-20T12:00:00.0Z",
        "2026-11-20T12:00:00,000000000Z",
        "2026-11-20T13:30:00+01:30",
        "2026-11-20T04:00-0800",
        "  2026-11-20T12:00:00+00:00  ",
    ],
)
def test_parse_iso_accepts_common_forms(text: str) -> None:
    assert parse_iso(text) == NOON


def test_a_date_is_midnight_and_digits_after_milliseconds_are_dropped() -> None:
    assert parse_iso("2026-11-20") == NOON - DAY // 2
    assert parse_iso("2026-11-20T12:00:00.5") == NOON + 500
    assert parse_iso("2026-11-20T12:00:00.1239Z") == NOON + 123


WRONG = [
    "",
    "yesterday",
    "2026",
    "2026-13-01",
    "2026-02-30",
    "2026-11-20T25:00:00Z",
    "2026-11-20T12:00:61Z",
    "2026-11-20T12",
    "2026-11-20T12:00:00Z trailing",
    "0000-01-01",
    "0001-01-01T00:00:00+01:00",
    "9999-12-31T23:59:59-01:00",
]


@pytest.mark.parametrize("text", WRONG)
def test_an_invalid_time_is_a_usage_error_with_an_example(text: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_time(text)
    assert repr(text) in error.value.message
    assert "2026-11-20T10:00:00Z" in error.value.hint


@given(text=st.text(alphabet="0129-:+TZ. ", max_size=26))
def test_a_typed_time_is_a_time_or_a_usage_error(text: str) -> None:
    try:
        time = parse_time(text)
    except UsageError:
        return
    assert parse_iso(iso(time)) == time


def test_a_state_id_never_looks_like_a_time() -> None:
    assert looks_like_time("2026-11-20")
    assert looks_like_time("2026-11-20T10:00:00Z")
    assert not looks_like_time("20261120")
    assert not looks_like_time("latest")
    assert not looks_like_time("")


@given(text=st.text(alphabet="0123456789abcdef", min_size=1, max_size=64))
def test_hexadecimal_never_looks_like_a_time(text: str) -> None:
    assert not looks_like_time(text)


def test_parse_http_date() -> None:
    assert parse_http_date("Fri, 20 Nov 2026 12:00:00 GMT") == NOON
    assert parse_http_date("Fri, 20 Nov 2026 13:00:00 +0100") == NOON
    for wrong in ("", "noon", "Fri, 31 Feb 2026 12:00:00 GMT"):
        with pytest.raises(ValueError, match=r"."):
            parse_http_date(wrong)


@given(moment=st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC)))
def test_parse_http_date_for_any_second(moment: datetime) -> None:
    whole = int(moment.timestamp())
    assert parse_http_date(moment.strftime("%a, %d %b %Y %H:%M:%S GMT")) == whole * SECOND


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("0d", 0),
        ("90s", 90),
        ("15m", 900),
        ("12h", 43_200),
        ("30d", 30 * 86_400),
        ("2w", 14 * 86_400),
        ("6mo", 180 * 86_400),
        ("1y", 365 * 86_400),
        ("1d12h", 129_600),
        (" 1h 30m ", 5400),
    ],
)
def test_parse_duration(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds * SECOND


@pytest.mark.parametrize("text", ["", " ", "30", "d", "-1d", "1.5d", "1d12", "30 days", "1x", "1d,2h"])
def test_an_invalid_duration_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_duration(text)
    assert repr(text) in error.value.message
    assert "30d" in error.value.hint


@given(parts=st.lists(st.tuples(st.integers(0, 99), st.sampled_from(["y", "mo", "w", "d", "h", "m", "s"])), min_size=1))
def test_a_duration_is_the_sum_of_its_parts(parts: list[tuple[int, str]]) -> None:
    text = "".join(f"{count}{unit}" for count, unit in parts)
    assert parse_duration(text) == sum(parse_duration(f"{count}{unit}") for count, unit in parts)


def test_durations_of_keep_rules_are_written_as_for_restic() -> None:
    assert parse_restic_duration("2y5m7d3h") == (2 * 365 + 5 * 30 + 7) * DAY + 3 * DAY // 24
    assert parse_restic_duration("6mo") == parse_restic_duration("6m") == 180 * DAY
    assert (parse_restic_duration("2w"), parse_restic_duration("0")) == (14 * DAY, 0)
    for text in ("", "30", "1.5d", "d", "1d 2h", "-1d", "٣d"):
        with pytest.raises(UsageError):
            parse_restic_duration(text)
