"""Read moments and waits out of text, whichever form a server chose for them.

Nothing here raises, and everything takes linear time: text comes from the network, so what cannot
be read, or cannot be meant, is `None`. Times are epoch seconds, waits are seconds.
"""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final

MAX_TEXT: Final = 128
"""Longest text that is read, in characters; the longest JavaScript date has about 80."""

MAX_DELTA: Final = 1e8
"""Numbers below this (3.2 years) are waits in seconds, from here on they are moments."""

MAX_AHEAD: Final = 48 * 3600.0
"""A moment further ahead than this many seconds is not believed: no rate limit lasts that long."""

_EPOCHS: Final = ((1e11, 1.0), (1e14, 1e3), (1e17, 1e6), (1e20, 1e9))
_UNITS: Final = {
    "ns": 1e-9,
    "us": 1e-6,
    "\u00b5s": 1e-6,
    "\u03bcs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}
# Patterns are text, which `re` compiles at their first use: an import should not pay for them.
_NUMBER: Final = r"[0-9]{1,20}(?:\.[0-9]{0,20})?(?:[eE][+-]?[0-9]{1,2})?"
_TERM: Final = rf"([0-9]+(?:\.[0-9]+)?)({'|'.join(_UNITS)})"
_DURATION: Final = rf"(?:{_TERM})+"
_JS_DATE: Final = (
    r"[A-Za-z]{3} ([A-Za-z]{3}) ([0-9]{1,2}) ([0-9]{4}) ([0-9:]{8}) GMT([+-][0-9]{4})?(?: \(.*\))?"
)


def parse_number(text: str) -> float | None:
    """Read a plain decimal number, without a sign, as a finite float.

    Args:
        text: ASCII digits, perhaps with a fraction and an exponent (Go prints `1.79e+09`).
    """
    text = text.strip()
    return float(text) if re.fullmatch(_NUMBER, text) else None


def parse_delta(text: str) -> float | None:
    """Read a wait in seconds: a number, or a Go duration such as `6m0s`, `1h2m3.5s` or `250ms`.

    Args:
        text: What is always a wait, never a moment; `MAX_DELTA` and more is junk.
    """
    seconds = parse_number(text)
    if seconds is None:
        seconds = _parse_duration(text.strip())
    return seconds if seconds is not None and seconds < MAX_DELTA else None


def parse_iso(text: str) -> float | None:
    """Read an ISO 8601 date and time as epoch seconds, see `parse_iso_datetime`."""
    moment = parse_iso_datetime(text)
    return None if moment is None else moment.timestamp()


def parse_iso_datetime(text: str) -> datetime | None:
    """Read an ISO 8601 date and time; without a zone it is UTC.

    HostUp documents this form for `X-RateLimit-Reset`. Ruby's and Go's ways of printing a time
    (`2026-11-23 10:00:00 +0000 UTC`) differ by little, so they are read as well.
    """
    if len(text) > MAX_TEXT or not text.isascii():
        return None
    text = text.strip().upper().removesuffix(" UTC").replace(" +", "+").replace(" -", "-")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def parse_http_date(text: str) -> float | None:
    """Read a date of RFC 9110, section 5.6.7, as epoch seconds.

    All three forms are read: IMF-fixdate, RFC 850 (two-digit years up to 68 are of this century,
    as `email.utils` has it) and asctime; and JavaScript's `Date.toString()`.
    """
    if len(text) > MAX_TEXT or not text.isascii():
        return None
    mail_date = re.sub(_JS_DATE, r"\2 \1 \3 \4 \5", text.strip())
    try:
        return _epoch(parsedate_to_datetime(mail_date))
    except (
        ValueError,
        TypeError,
        IndexError,
        OverflowError,
    ):  # email.utils promises only the first
        return None


@lru_cache(maxsize=16)  # a busy server's answers of one second bear the same `Date`
def parse_moment(text: str) -> float | None:
    """Read an ISO 8601, HTTP or JavaScript date as epoch seconds."""
    moment = parse_iso(text)
    return parse_http_date(text) if moment is None else moment


def parse_seconds_until(text: str, *, reference: float) -> float | None:
    """Read a wait in seconds from any form of a wait or of a moment.

    Args:
        text: A number (see `seconds_from_number`), a Go duration or a date, perhaps quoted.
        reference: What moments are counted from, in epoch seconds: the answer's own time.

    Returns:
        Seconds, 0.0 if the moment has passed, None if it is junk or beyond `MAX_AHEAD`.
    """
    text = text.strip().strip('"')
    number = parse_number(text)
    if number is not None:
        return seconds_from_number(number, reference=reference)
    delta = parse_delta(text)
    if delta is not None:
        return delta
    moment = parse_moment(text)
    return None if moment is None else _until(moment, reference)


def seconds_from_number(value: float, *, reference: float) -> float | None:
    """Tell waits and moments apart by magnitude, and return the wait in seconds.

    Below 1e8 it is a wait in seconds (as a moment it would lie in 1973), below 1e11 a moment in
    epoch seconds, below 1e14 in milliseconds, below 1e17 in microseconds, below 1e20 in
    nanoseconds. Public clients have met epoch seconds from HostUp; the rest are other APIs' habits.

    Args:
        value: Any number at all; negative, NaN and larger ones are junk.
        reference: What moments are counted from, in epoch seconds.
    """
    if 0 <= value < MAX_DELTA:
        return float(value)
    unit = next((unit for bound, unit in _EPOCHS if MAX_DELTA <= value < bound), None)
    return None if unit is None else _until(value / unit, reference)


def _until(moment: float, reference: float) -> float | None:
    ahead = moment - reference
    return max(0.0, ahead) if ahead <= MAX_AHEAD else None


def _epoch(moment: datetime) -> float:
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _parse_duration(text: str) -> float | None:
    if len(text) > MAX_TEXT or not re.fullmatch(_DURATION, text):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(_TERM, text))
