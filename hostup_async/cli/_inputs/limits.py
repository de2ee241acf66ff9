"""Reads the rate limit and the share of it that a user gives, as options or in a profile."""

import re
from typing import Final

from hostup_async import ConfigurationError, RateLimit
from hostup_async.cli._exits import usage
from hostup_async.cli._inputs.policy import duration

_LIMIT: Final = re.compile(r"(\d{1,9})\s*/\s*(\S+)", re.ASCII)
_PER_CENT: Final = re.compile(r"(\d+(?:\.\d+)?)\s*%", re.ASCII)


def read_limit(name: str, text: str) -> RateLimit:
    """A rate limit, from `60/60`, `60/60s`, `1000/1h`.

    Args:
        name: What it is called where the user wrote it, such as `--limit`.
        text: Requests and the time in which they are allowed.

    Raises:
        CommandFailed: It cannot be read.

    Example:
        >>> read_limit("--limit", "60/1m")
        RateLimit(requests=60, window=60.0)
    """
    match = _LIMIT.fullmatch(text.strip())
    if match is None:
        message = f"{name} {text!r} cannot be read as REQUESTS/SECONDS: write 60/60, or 1000/1h"
        raise usage(message)
    try:
        return RateLimit(int(match[1]), duration(name, match[2]))
    except ConfigurationError as error:
        message = f"{name} {text!r} cannot be used: {error}"
        raise usage(message) from None


def read_share(name: str, value: str | float) -> float:
    """A share of the rate limit, from `0.7` or `70%`.

    Raises:
        CommandFailed: It cannot be read, or is not above 0 and at most 1.

    Example:
        >>> read_share("--share", "70%"), read_share("--share", 0.7)
        (0.7, 0.7)
    """
    text = str(value).strip()
    per_cent = _PER_CENT.fullmatch(text)
    try:
        share = float(per_cent[1]) / 100 if per_cent else float(text)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        message = f"{name} {text!r} must be above 0 and at most 1, such as 0.7 or 70%"
        raise usage(message)
    return share
