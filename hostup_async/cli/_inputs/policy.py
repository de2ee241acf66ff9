"""Turns the options of a run into its policy."""

import re
from typing import Final

from hostup_async import FleetPolicy
from hostup_async.cli._exits import usage
from hostup_async.cli._options import PolicyOptions

_TIME: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd]?)", re.ASCII)
_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_SHARE: Final = re.compile(r"(\d+(?:\.\d+)?)%", re.ASCII)


def make_policy(options: PolicyOptions) -> FleetPolicy:
    """The policy that the options describe.

    Raises:
        CommandFailed: A duration or a share cannot be read.
        ConfigurationError: A value cannot be used.
    """
    return FleetPolicy(
        canary=options.canary,
        max_in_flight=options.max_in_flight,
        max_failures=count_or_share("--max-failures", options.max_failures),
        max_ambiguous=count_or_share("--max-ambiguous", options.max_ambiguous),
        cooldown=duration("--cooldown", options.cooldown),
        skip_booted_within=_maybe_duration("--skip-booted-within", options.skip_booted_within),
        job_timeout=duration("--job-timeout", options.job_timeout),
        verify=options.verify,
        on_ambiguous=options.on_ambiguous,
        reason=options.reason,
    )


def _maybe_duration(option: str, text: str | None) -> float | None:
    return None if text is None else duration(option, text)


def duration(option: str, text: str) -> float:
    """Seconds, from `90`, `90s`, `5m`, `1h` or `1d`.

    Example:
        >>> duration("--cooldown", "5m")
        300.0
    """
    match = _TIME.fullmatch(text.strip())
    if match is None:
        message = f"{option} {text!r} cannot be read as a time: write 90, 90s, 5m, 1h or 1d"
        raise usage(message)
    return float(match[1]) * _UNITS[match[2]]


def count_or_share(option: str, text: str | None) -> float | None:
    """A count, or a share between 0 and 1; None without a limit.

    Example:
        >>> count_or_share("--max-failures", "5"), count_or_share("--max-failures", "5%")
        (5, 0.05)
    """
    if text is None:
        return None
    if text.strip().isascii() and text.strip().isdigit():
        return int(text)
    match = _SHARE.fullmatch(text.strip())
    if match is None or not 0 < float(match[1]) < 100:  # noqa: PLR2004 - per cent
        message = f"{option} {text!r} must be a count such as 5, or a share such as 5%"
        raise usage(message)
    return float(match[1]) / 100
