from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from time import process_time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostup_async._ratelimit.timestamps import (
    MAX_AHEAD,
    MAX_DELTA,
    parse_delta,
    parse_http_date,
    parse_iso,
    parse_moment,
    parse_number,
    parse_seconds_until,
    seconds_from_number,
)

if TYPE_CHECKING:
    from collections.abc import Callable

MOMENT = datetime(2026, 11, 23, 9, 0, 0, tzinfo=UTC)
EPOCH = MOMENT.timestamp()
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def imf_fixdate(moment: datetime) -> str:
    return format_datetime(moment, usegmt=True)


def rfc_850(moment: datetime) -> str:
    month = MONTHS[moment.month - 1]
    return f"{DAYS[moment.weekday()]}, {moment:%d}-{month}-{moment:%y %H:%M:%S} GMT"


def asctime(moment: datetime) -> str:
    day, month = DAYS[moment.weekday()][:3], MONTHS[moment.month - 1]
    return f"{day} {month} {moment.day:2d} {moment:%H:%M:%S %Y}"


def javascript(moment: datetime) -> str:
    local = moment.astimezone(timezone(timedelta(hours=1)))
    day, month = DAYS[local.weekday()][:3], MONTHS[local.month - 1]
    return f"{day} {month} {local:%d %Y %H:%M:%S} GMT+0100 (Central European Standard Time)"


def go_duration(moment: datetime, reference: float) -> str:
    minutes, seconds = divmod(int(moment.timestamp() - reference), 60)
    return f"{minutes // 60}h{minutes % 60}m{seconds}s"


MOMENT_FORMS: dict[str, Callable[[datetime], str]] = {
    "imf-fixdate": imf_fixdate,
    "rfc 850": rfc_850,
    "asctime": asctime,
    "javascript": javascript,
    "iso": datetime.isoformat,
    "iso z": lambda moment: f"{moment:%Y-%m-%dT%H:%M:%SZ}",
    "iso milliseconds": lambda moment: f"{moment:%Y-%m-%dT%H:%M:%S}.250Z",
    "iso nanoseconds": lambda moment: f"{moment:%Y-%m-%dT%H:%M:%S}.123456789Z",
    "iso without zone": lambda moment: f"{moment:%Y-%m-%dT%H:%M:%S}",
    "iso basic": lambda moment: f"{moment:%Y%m%dT%H%M%SZ}",
    "iso other zone": lambda moment: moment.astimezone(timezone(timedelta(hours=-5))).isoformat(),
    "ruby": lambda moment: f"{moment:%Y-%m-%d %H:%M:%S} UTC",
    "go": lambda moment: f"{moment:%Y-%m-%d %H:%M:%S} +0000 UTC",
    "quoted": lambda moment: f'"{moment.isoformat()}"',
    "epoch seconds": lambda moment: str(int(moment.timestamp())),
    "epoch float": lambda moment: f"{moment.timestamp():.3f}",
    "epoch exponent": lambda moment: f"{moment.timestamp():.12e}",
    "epoch milliseconds": lambda moment: str(int(moment.timestamp()) * 10**3),
    "epoch microseconds": lambda moment: str(int(moment.timestamp()) * 10**6),
    "epoch nanoseconds": lambda moment: str(int(moment.timestamp()) * 10**9),
}

JUNK = [
    "",
    " ",
    "-1",
    "+5",
    "nan",
    "inf",
    "1e400",
    "0x10",
    "1_000",
    "soon",
    "\u0663\u0660",
    "\uff13\uff10",
    "\u00b2",
    "\x00",
    "\ud800",
    "9" * 21,
    "9" * 1_000_000,
    "1" * 5_000 + "s",
    "1s" * 100_000,
    " " * 1_000_000,
    "30 30",
    "1h 2m",
    "5x",
    "2026-13-45T99:99:99Z",
    "Mon, 99 Nov 2026 09:00:00 GMT",
    "Mon Nov 99 2026 10:00:00 GMT+0100",
    "Mon, 23 Nov 2026 09:00:00 +9999999999",
    "Invalid Date",
    "[object Object]",
    "null",
    ",",
    ":",
]


@pytest.mark.parametrize("form", MOMENT_FORMS)
def test_a_moment_is_read_from_each_form(form: str) -> None:
    text = MOMENT_FORMS[form](MOMENT)
    assert parse_seconds_until(text, reference=EPOCH - 60) == pytest.approx(60, abs=0.3)


@given(
    epoch=st.integers(10**9, 31 * 10**8),
    ahead=st.integers(0, int(MAX_AHEAD) - 1),
    form=st.sampled_from(sorted(MOMENT_FORMS)),
)
def test_any_moment_round_trips_in_every_form(epoch: int, ahead: int, form: str) -> None:
    moment = datetime.fromtimestamp(epoch, tz=UTC)
    text = MOMENT_FORMS[form](moment)
    seconds = parse_seconds_until(text, reference=epoch - ahead)
    assert seconds == pytest.approx(ahead, abs=1)


@given(st.integers(0, 10**7))
def test_any_wait_round_trips_as_a_go_duration(seconds: int) -> None:
    moment = datetime.fromtimestamp(seconds, tz=UTC)
    assert parse_seconds_until(go_duration(moment, 0.0), reference=EPOCH) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("30", 30),
        (" 30 ", 30),
        ('"30"', 30),
        ("0.25", 0.25),
        ("30.", 30),
        ("1e3", 1000),
        ("1000000", 1_000_000),
        ("99999999", 99_999_999),
        ("6m0s", 360),
        ("1h2m3.5s", 3723.5),
        ("250ms", 0.25),
        ("1.5us", 1.5e-6),
        ("1.5\u00b5s", 1.5e-6),
        ("1.5\u03bcs", 1.5e-6),
        ("10ns", 1e-8),
        ("0s", 0),
        ("2m", 120),
    ],
)
def test_waits_are_read_as_they_are(text: str, seconds: float) -> None:
    assert parse_seconds_until(text, reference=EPOCH) == pytest.approx(seconds)


@pytest.mark.parametrize("text", JUNK, ids=lambda text: ascii(text[:20]))
def test_junk_is_none(text: str) -> None:
    assert parse_seconds_until(text, reference=EPOCH) is None
    assert parse_delta(text) is None
    assert parse_moment(text) is None


@pytest.mark.parametrize("form", MOMENT_FORMS)
def test_a_past_moment_is_zero_and_a_far_one_is_not_believed(form: str) -> None:
    text = MOMENT_FORMS[form](MOMENT)
    assert parse_seconds_until(text, reference=EPOCH + 5) == 0
    assert parse_seconds_until(text, reference=EPOCH - MAX_AHEAD - 5) is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (0, 0),
        (MAX_DELTA - 1, MAX_DELTA - 1),
        (MAX_DELTA, 0),
        (EPOCH + 7, 7),
        ((EPOCH + 7) * 1e3, 7),
        ((EPOCH + 7) * 1e6, 7),
        (9e10, None),
        (1e20, None),
        (-1, None),
        (math.nan, None),
        (math.inf, None),
        (-math.inf, None),
    ],
)
def test_numbers_are_told_apart_by_magnitude(value: float, seconds: float | None) -> None:
    result = seconds_from_number(value, reference=EPOCH)
    assert result == (seconds if seconds is None else pytest.approx(seconds, abs=1e-3))


@pytest.mark.parametrize("sign", [1, -1])
def test_integers_of_any_size_are_compared_not_converted(sign: int) -> None:
    assert seconds_from_number(sign * 10**5000, reference=EPOCH) is None


def test_a_delta_is_never_taken_for_a_moment() -> None:
    assert parse_delta("1.5") == 1.5
    assert parse_delta("1m1s") == 61
    assert parse_delta(str(int(EPOCH))) is None
    assert parse_delta("999999999h") is None


def test_numbers_keep_their_fraction() -> None:
    assert parse_number("1795424400.125") == 1795424400.125


@pytest.mark.parametrize(
    ("text", "year"),
    [
        ("Sunday, 06-Nov-94 08:49:37 GMT", 1994),
        ("Tuesday, 06-Nov-68 08:49:37 GMT", 2068),
    ],
)
def test_two_digit_years_have_a_century(text: str, year: int) -> None:
    assert parse_http_date(text) == datetime(year, 11, 6, 8, 49, 37, tzinfo=UTC).timestamp()


@pytest.mark.parametrize("offset", ["", "+0000"])
def test_javascript_dates_need_no_zone_name(offset: str) -> None:
    assert parse_http_date(f"Mon Nov 23 2026 09:00:00 GMT{offset}") == EPOCH


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_the_ends_of_the_calendar_are_finite(text: str) -> None:
    moment = parse_iso(text)
    assert moment is not None
    assert math.isfinite(moment)


@given(st.text() | st.from_regex(r"[0-9a-zA-Z:,.+ -]{0,40}", fullmatch=True), st.floats(0, 1e11))
def test_any_text_gives_none_or_a_finite_wait(text: str, reference: float) -> None:
    seconds = parse_seconds_until(text, reference=reference)
    assert seconds is None or 0 <= seconds < math.inf


date_like = st.lists(
    st.sampled_from(
        [*"0123456789", *" ,:-+.;()", "Mon", "Nov", "GMT", "T", "Z", "23", "2026", "09:00", "99"]
    ),
    max_size=30,
).map("".join)


@given(date_like)
def test_anything_like_a_date_gives_none_or_a_finite_moment(text: str) -> None:
    for moment in (parse_iso(text), parse_http_date(text)):
        assert moment is None or math.isfinite(moment)


@pytest.mark.parametrize("unit", ["9", "1s", "1.", " ", '"', "Mon, ", "1e", "2026-", "GMT+", "("])
def test_a_megabyte_costs_next_to_nothing(unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    started = process_time()
    parse_seconds_until(text, reference=EPOCH)
    assert process_time() - started < 2  # CPU seconds: far above what a busy machine takes
