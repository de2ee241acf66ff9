"""How a fleet run behaves: its bounds, its failure budgets, and what it does in doubt."""

import json
from datetime import timedelta
from enum import StrEnum
from math import floor
from typing import Any, ClassVar, Final, Literal, Self, TypeAlias

from attrs import field, fields, frozen

from hostup_async._config import Seconds, seconds, switch, word
from hostup_async._errors import ConfigurationError
from hostup_async._json import JsonReady


class OnAmbiguous(StrEnum):
    """What to do with an action that may have been sent, and whose outcome is unknown."""

    REPORT = "report"
    """Read the VPS's status for evidence, and report what it shows; never send again."""
    RESEND = "resend"
    """Send once more what the evidence shows not to have taken place, after five minutes at least.
    A job that queues for longer than that is then carried out twice."""


AmbiguousWord: TypeAlias = Literal["report", "resend"]


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
            allowed = "a count (1, 2, ...) or a share between 0.0 and 1.0"
            msg = f"{name} must be {allowed}, not {value!r}."
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


def _skip_booted_within(value: Seconds | None) -> float | None:
    if value is None or value in {0, timedelta()}:
        return None if value is None else 0.0
    return seconds(value, name="skip_booted_within")


def _deadline(value: Seconds | None) -> float | None:
    return None if value is None else seconds(value, name="deadline")


def _verify(value: object) -> bool:
    return switch(value, name="verify")


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    msg = f"The reason must be a text, not {type(value).__name__}."
    raise ConfigurationError(msg)


def _on_ambiguous(value: OnAmbiguous | AmbiguousWord) -> OnAmbiguous:
    return word(value, OnAmbiguous, name="on_ambiguous")


@frozen(kw_only=True)
class FleetPolicy(JsonReady):
    """How a fleet run behaves. Durations are in seconds, or `timedelta`.

    How much can go wrong is bounded: at most `max_in_flight` outcomes are unknown at once (fewer
    if the rate limit cannot use as many), and nothing is sent once `max_failures` failures are
    known. So at most `max_failures + max_in_flight` VPSes can fail.

    Attributes:
        max_in_flight: Most VPSes in flight at once: sent, and their outcome unknown. None for as
            many as the rate limit can use.
        canary: Send to this many VPSes first and wait for them; go on only if all complete. Then
            send 2, 4, 8, ... more, each step when half of the step before is known. 0 turns both
            off.
        max_failures: Send nothing more once this many VPSes failed, were refused, timed out or
            were not done: a count, or a share of the plan as a `float` below 1. None for no bound.
        max_ambiguous: Send nothing more once the outcome of this many VPSes is unknown for good
            (`ambiguous`): a count, or a share of the plan as a `float` below 1. None for ten in a
            row; while ten are in doubt in a row, nothing more is sent until one is settled.
        cooldown: Skip a VPS that a run in this store acted on within this time. 0 for no cooldown.
        skip_booted_within: Read a VPS's status before its action, and skip it if it booted within
            this time or has a task pending: another store's run, or a person, may have acted on
            it. 0 turns it off; None is 10 minutes where the plan has the gates read, and 0 where
            not. A run that reads while the other's job still queues sees neither.
        job_timeout: Stop following a job this long after it was accepted, as `timed_out`.
        deadline: Stop sending, and stop following, this long after the run began. None for no
            deadline.
        drain_timeout: After a stop, follow what is in flight for at most this long.
        verify: Check by a VPS's own status that its job ended well; where that shows the contrary,
            the outcome is `ambiguous`, and where it shows nothing, the job is believed.
        on_ambiguous: What to do where an action may have been sent and its outcome is unknown: an
            `OnAmbiguous`, or its value.
        evidence_interval: The time between the two reads of a VPS's status that together show
            that an action did not take place.
        reason: Why the run is made, in words; kept in the store's audit trail.

    Raises:
        ConfigurationError: A value cannot be used; the message names it.

    Example:
        >>> policy = FleetPolicy(canary=1, max_failures=0.05, max_in_flight=20)
        >>> policy.failures_allowed(of=400)
        20
    """

    AMBIGUOUS_IN_A_ROW: ClassVar[int] = 10
    """Without `max_ambiguous`, nothing more is sent after this many ambiguous outcomes in a row:
    more than chance takes where answers get lost now and then."""

    max_in_flight: int | None = field(default=None, validator=_bound("max_in_flight", 1))
    canary: int = field(default=0, validator=_bound("canary", 0))
    max_failures: float | None = field(default=None, validator=_share_or_count("max_failures"))
    max_ambiguous: float | None = field(default=None, validator=_share_or_count("max_ambiguous"))
    cooldown: float = field(default=300.0, converter=_cooldown)
    skip_booted_within: float | None = field(default=None, converter=_skip_booted_within)
    job_timeout: float = field(default=900.0, converter=_job_timeout)
    deadline: float | None = field(default=None, converter=_deadline)
    drain_timeout: float = field(default=900.0, converter=_drain_timeout)
    verify: bool = field(default=False, converter=_verify)
    on_ambiguous: OnAmbiguous = field(default=OnAmbiguous.REPORT, converter=_on_ambiguous)
    evidence_interval: float = field(default=10.0, converter=_evidence_interval)
    reason: str | None = field(default=None, converter=_text)

    def failures_allowed(self, *, of: int) -> int | None:
        """After how many failures nothing more is sent; None for no bound.

        Args:
            of: How many VPSes the plan has.
        """
        return _count(self.max_failures, of)

    def ambiguous_allowed(self, *, of: int) -> int | None:
        """After how many `ambiguous` outcomes nothing more is sent; None for ten in a row.

        Args:
            of: How many VPSes the plan has.
        """
        return _count(self.max_ambiguous, of)

    def to_json(self) -> str:
        """The policy as JSON, for a store or a file."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a policy that `to_json` wrote; members that are not known here are left out.

        Raises:
            ConfigurationError: The text is not a policy.
        """
        try:
            members = json.loads(text).items()
            return cls(**{name: value for name, value in members if name in _NAMES})
        except (ValueError, TypeError, AttributeError) as error:
            msg = f"This is not a policy that to_json() wrote: {error}"
            raise ConfigurationError(msg) from None


# A share is a binary fraction, and 0.29 * 100 is 28.999...: what is off by less than this is whole.
_DIGITS: Final = 9
_NAMES: Final = [one.name for one in fields(FleetPolicy)]


def _count(bound: float | None, total: int) -> int | None:
    if bound is None or isinstance(bound, int):
        return bound
    return max(1, floor(round(bound * total, _DIGITS)))
