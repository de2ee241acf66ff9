"""Moments, durations and foreign text, as a report shows them."""

import json
from datetime import UTC, datetime
from typing import Any, Final

from hostup_async._http.wire import is_object

_UNITS: Final = ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))
_TENTHS_FROM: Final = 10


def visible(text: str) -> str:
    r"""The text with each character spelt out that is not seen, or could not be encoded.

    Example:
        >>> visible("a\x1b[31m\u202eb")
        'a\\x1b[31m\\u202eb'
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _spelt(char) for char in text)


def moment(at: float | None, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """A moment in UTC; nothing where there is none.

    Example:
        >>> moment(0.0)
        '1970-01-01 00:00:00'
    """
    return "" if at is None else datetime.fromtimestamp(at, UTC).strftime(form)


def duration(seconds: float) -> str:
    """A duration, in at most two units.

    Example:
        >>> [duration(one) for one in (0.04, 12.34, 75, 3700, 200_000)]
        ['0.04 s', '12.3 s', '1 min 15 s', '1 h 1 min', '2 d 7 h']
    """
    for size, unit, part, smaller in _UNITS:
        if seconds >= size:
            return f"{seconds // size:.0f} {unit} {seconds % size // part:.0f} {smaller}"
    return f"{seconds:.1f} s" if seconds >= _TENTHS_FROM else f"{seconds:.2f} s"


def members(text: str) -> dict[str, Any]:
    """The members of a JSON object; none where the text is no such thing.

    Example:
        >>> members('{"why": "429"}'), members("[]"), members("")
        ({'why': '429'}, {}, {})
    """
    try:
        found: object = json.loads(text)
    except ValueError:
        return {}
    return found if is_object(found) else {}


def _spelt(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
