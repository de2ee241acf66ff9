"""How a fleet run behaves: its bounds, its budgets of failures, and what it does in doubt."""

import json
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final, Self

from attrs import asdict, field, fields, frozen

from hostup_async._config import Seconds, seconds
from hostup_async._errors import ConfigurationError


class OnAmbiguous(StrEnum):
    """What to do with an action that was perhaps sent, and perhaps done."""

    REPORT = "report"
    """Look for evidence, and report what is found; never send again."""
    RESEND = "resend_if_proved_not_done"
    """Send again, once, what the evidence proves not to have been done."""


def _bound(name: str, least: int) -> Any:  # noqa: ANN401 - an attrs field
    def check(_: object, __: object, value: object) -> None:
        if value is None:
            return
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            msg = f"{name} must be a whole number, at least {least}, not {value!r}."
            raise ConfigurationError(msg)

    return check


def _share_or_count(name: str) -> Any:  # noqa: ANN401 - an attrs field
    count = _bound(name, 1)

    def check(owner: object, attribute: object, value: object) -> None:
        if not isinstance(value, float):
            count(owner, attribute, value)
        elif not 0 < value < 1:
            msg = f"{name} is a count (1, 2, ...) or a share between 0.0 and 1.0, not {value!r}."
            raise ConfigurationError(msg)

    return check


def _job_timeout(value: Seconds) -> float:
    return seconds(value, name="job_timeout")


def _drain_timeout(value: Seconds) -> float:
    return seconds(value, name="drain_timeout")


def _evidence_interval(value: Seconds) -> float:
    return seconds(value, name="evidence_interval")


def _cooldown(value: Seconds) -> float:
    return 0.0 if value in {0, timedelta()} else seconds(value, name="cooldown")


def _deadline(value: Seconds | None) -> float | None:
    return None if value is None else seconds(value, name="deadline")


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    msg = f"A reason is a text, not {type(value).__name__}."
    raise ConfigurationError(msg)


def _on_ambiguous(value: str) -> OnAmbiguous:
    try:
        return OnAmbiguous(value)
    except ValueError:
        words = " or ".join(repr(one.value) for one in OnAmbiguous)
        msg = f"on_ambiguous is {words}, not {value!r}."
        raise ConfigurationError(msg) from None


@frozen(kw_only=True)
class FleetPolicy:
    """How a fleet run behaves. Durations are in seconds, or `timedelta`.

    Never are more than W results unknown at once, W being the smaller of `max_in_flight` and what
    the rate limit can make use of; and nothing is sent after the k-th failure is known, k being
    `max_failures`: so at most k + W VPSes can fail.

    Attributes:
        max_in_flight: At most so many results unknown at once; None for what the rate allows.
        canary: So many VPSes go first, and alone; if one of them does not complete, nothing more
            is sent. Then 2, 4, ... are sent, each step once half of the one before is known.
            0 for neither.
        max_failures: Send nothing more after so many failures (failed, refused or timed out): a
            count, or a share of the plan as a `float` below 1. None for no bound.
        max_ambiguous: Likewise for VPSes of which nobody can tell whether it was done.
        cooldown: Skip a VPS that this store's runs acted on less than so long ago; 0 for none.
        job_timeout: Give a job up, as `timed_out`, so long after it was accepted.
        deadline: Stop sending, and give up what is still unknown, so long after the run began.
        drain_timeout: After a stop, watch what is in flight for at most so long.
        verify: Believe no `completed` before the VPS's own status shows it too.
        on_ambiguous: What to do where nobody can tell: an `OnAmbiguous`, or its value.
        evidence_interval: How far apart two looks at a VPS's status are that prove, together,
            that an action did not take place.
        reason: Why the run is made; kept in the store's audit trail.

    Raises:
        ConfigurationError: A value that cannot be used; the message names it.

    Example:
        >>> policy = FleetPolicy(canary=1, max_failures=0.05, max_in_flight=20)
        >>> policy.failures_allowed(of=400)
        20
    """

    max_in_flight: int | None = field(default=None, validator=_bound("max_in_flight", 1))
    canary: int = field(default=0, validator=_bound("canary", 0))
    max_failures: float | None = field(default=None, validator=_share_or_count("max_failures"))
    max_ambiguous: float | None = field(default=None, validator=_share_or_count("max_ambiguous"))
    cooldown: float = field(default=300.0, converter=_cooldown)
    job_timeout: float = field(default=900.0, converter=_job_timeout)
    deadline: float | None = field(default=None, converter=_deadline)
    drain_timeout: float = field(default=900.0, converter=_drain_timeout)
    verify: bool = field(default=False, converter=bool)
    on_ambiguous: OnAmbiguous = field(default=OnAmbiguous.REPORT, converter=_on_ambiguous)
    evidence_interval: float = field(default=10.0, converter=_evidence_interval)
    reason: str | None = field(default=None, converter=_text)

    def failures_allowed(self, *, of: int) -> int | None:
        """How many failures end the sending in a plan of so many VPSes; None for no bound."""
        return _count(self.max_failures, of)

    def ambiguous_allowed(self, *, of: int) -> int | None:
        """Likewise for VPSes of which nobody can tell."""
        return _count(self.max_ambiguous, of)

    def to_json(self) -> str:
        """The policy as JSON, for a store or a file."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The policy in what `to_json` gave; members that are not known here are left out.

        Raises:
            ConfigurationError: It is none.
        """
        try:
            members = json.loads(text).items()
            return cls(**{name: value for name, value in members if name in _NAMES})
        except (ValueError, TypeError, AttributeError) as error:
            msg = f"This is no policy that to_json() wrote: {error}"
            raise ConfigurationError(msg) from None


_NAMES: Final = [one.name for one in fields(FleetPolicy)]


def _count(bound: float | None, total: int) -> int | None:
    if bound is None or isinstance(bound, int):
        return bound
    return max(1, int(bound * total))
