"""Durations and moments as people read them, on the terminal and in the HTML report."""

from datetime import UTC, datetime
from typing import Final

_UNITS: Final = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))
MINUTE: Final = 60  # seconds
_WHOLE_DIGITS_FROM: Final = 10  # seconds; below, hundredths are shown, from here on tenths


def format_duration(seconds: float) -> str:
    """A duration as a clock shows it, for what changes on the screen.

    Example:
        >>> format_duration(75.2), format_duration(7325)
        ('1:15', '2:02:05')
    """
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def format_units(seconds: float, most: int = 2) -> str:
    """A duration with its units, the largest ones first, for what is read later.

    Args:
        seconds: How long it is.
        most: Units to show at most.

    Example:
        >>> [format_units(one) for one in (0.04, 12.34, 75, 3700, 200_000)]
        ['0.04 s', '12.3 s', '1 min 15 s', '1 h 1 min', '2 d 7 h']
    """
    if seconds < MINUTE:
        return f"{round(seconds, 1 if seconds >= _WHOLE_DIGITS_FROM else 2):g} s"
    parts, rest = list[str](), int(seconds)
    for size, unit in _UNITS:
        count, rest = divmod(rest, size)
        if count or parts:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:most])


def format_utc(at: float | None, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """A moment in UTC, for what is sent on; empty for None.

    Example:
        >>> format_utc(0.0)
        '1970-01-01 00:00:00'
    """
    return "" if at is None else datetime.fromtimestamp(at, UTC).strftime(form)


def format_local(at: float) -> str:
    """A moment in this machine's time zone, for its own terminal."""
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def format_clock(at: float) -> str:
    """The time of day of a moment, in this machine's time zone."""
    return datetime.fromtimestamp(at).astimezone().strftime("%H:%M:%S")


def format_with_zone(at: float) -> str:
    """A moment in this machine's time zone, with its offset from UTC (ISO 8601)."""
    return datetime.fromtimestamp(at).astimezone().isoformat(timespec="seconds")
