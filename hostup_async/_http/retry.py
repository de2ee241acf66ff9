"""Whether to send again: the whole policy, as one table.

A reset is a forced reboot, and two are worse than none: an action whose sending is in doubt is
never repeated. What is proved never to have been sent, or to have been refused, may be.
"""

from collections.abc import Iterator
from enum import Enum, auto
from http import HTTPStatus
from typing import Final

from hostup_async import _clock
from hostup_async._http.problems import effective_status
from hostup_async._http.wire import SUCCESSES
from hostup_async._models import Problem

# Seconds: the first retry comes within half a second, and a pause of 15 s loses little of an
# outage that ends.
_FIRST_DELAY: Final = 0.5
_LONGEST_DELAY: Final = 15.0
# With 2 % of stray responses, three million calls meet one that is refused for them; and a wrong
# base URL shows itself within about 4 s.
_BRIEF_RETRIES: Final = 4


class RequestOutcome(Enum):
    """How one request ended."""

    ANSWERED = auto()
    """Its response was a success, and could be read."""
    NEVER_SENT = auto()
    """It never left this machine: DNS, refused, TLS, connect timeout, no pool slot."""
    TOO_LATE = auto()
    """It was kept back: this process slept or waited for too long, or a pause began meanwhile."""
    LIMITED = auto()
    """The rate limit refused it: 429."""
    TAKEN_BACK = auto()
    """Its response was a success by its status, and a rate limit's refusal by its body."""
    IN_DOUBT = auto()
    """It was sent, and then: silence, disconnect, 408, 421, 425, 499, 500 and above, an
    unreadable response, another request's response, `upstream_failed` with any status."""
    UNEXPECTED = auto()
    """A status without a meaning here: a redirect, a 409 without a code, all not named above."""
    FILTERED = auto()
    """400, 401, 403 or 404 from a filter or a gateway: not in the API's form."""
    UNPROVED = auto()
    """A response that may be another request's; see the identity module."""
    REFUSED = auto()
    """The API refused it: 400, 401, 403, 404, a 409 with its code, `success: false`."""


class Decision(Enum):
    """What to do about it."""

    ACCEPT = auto()
    RETRY = auto()
    RETRY_BRIEFLY = auto()
    """Retry a few times: it may be a stray response, or will not get better by waiting."""
    REPEAT = auto()
    """Send it at once, with a new permit, on a connection of its own."""
    PAUSE = auto()
    """Pause the whole budget, then retry; uses up no attempt."""
    OUTCOME_UNKNOWN = auto()
    RAISE = auto()


#                      an action that must not happen twice, a request that only reads
_TABLE: Final = {
    RequestOutcome.ANSWERED: (Decision.ACCEPT, Decision.ACCEPT),
    RequestOutcome.NEVER_SENT: (Decision.RETRY, Decision.RETRY),
    RequestOutcome.TOO_LATE: (Decision.REPEAT, Decision.REPEAT),
    RequestOutcome.LIMITED: (Decision.PAUSE, Decision.PAUSE),
    RequestOutcome.TAKEN_BACK: (Decision.RAISE, Decision.PAUSE),
    RequestOutcome.IN_DOUBT: (Decision.OUTCOME_UNKNOWN, Decision.RETRY),
    RequestOutcome.UNEXPECTED: (Decision.OUTCOME_UNKNOWN, Decision.RETRY_BRIEFLY),
    RequestOutcome.FILTERED: (Decision.RAISE, Decision.RETRY_BRIEFLY),
    RequestOutcome.UNPROVED: (Decision.OUTCOME_UNKNOWN, Decision.REPEAT),
    RequestOutcome.REFUSED: (Decision.RAISE, Decision.RAISE),
}

_REFUSALS: Final = frozenset({400, 401, 403, 404})
# Timeouts and retries by their definition: the request may have been carried out before.
_IN_DOUBT: Final = frozenset({408, 421, 425, 499})
_ABOVE_SUCCESS: Final = range(300, 500)


def decide(outcome: RequestOutcome, *, acts: bool) -> Decision:
    """Look up what to do; `acts` tells a power action from a request that only reads."""
    for_actions, for_reads = _TABLE[outcome]
    return for_actions if acts else for_reads


def classify(problem: Problem) -> RequestOutcome:
    """The outcome that a refusal stands for, by its status and by its code."""
    status = effective_status(problem)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        limited = problem.status not in SUCCESSES
        return RequestOutcome.LIMITED if limited else RequestOutcome.TAKEN_BACK
    if status in SUCCESSES or (status == HTTPStatus.CONFLICT and problem.code):
        return RequestOutcome.REFUSED
    if status in _REFUSALS:
        return RequestOutcome.REFUSED if problem.raw else RequestOutcome.FILTERED
    if status in _IN_DOUBT or status not in _ABOVE_SUCCESS:
        return RequestOutcome.IN_DOUBT
    return RequestOutcome.UNEXPECTED


def delays() -> Iterator[float]:
    """Seconds before each retry: exponential, with full jitter."""
    from backoff import expo  # noqa: PLC0415 - most calls never retry

    ceilings = expo(base=2, factor=_FIRST_DELAY, max_value=_LONGEST_DELAY)
    next(ceilings)  # backoff's generators yield None first
    for ceiling in ceilings:
        yield ceiling * _clock.chance()


class RetryQuota:
    """Bounds retries over all calls, so that an outage is not answered with a storm.

    Each retry takes `cost`, each response gives one unit back: when most requests fail, most
    fail at once (botocore's idea).
    """

    __slots__ = ("_capacity", "_cost", "_left")

    def __init__(self, capacity: float = 500, cost: float = 5) -> None:
        self._capacity = self._left = capacity
        self._cost = cost

    def take(self) -> bool:
        """Whether one more retry is allowed; if so, it is paid for."""
        if self._left < self._cost:
            return False
        self._left -= self._cost
        return True

    def give(self) -> None:
        """Give one unit back, for a response that came."""
        self._left = min(self._capacity, self._left + 1)


class Retries:
    """The retries of one call, within its patience and the quota.

    Args:
        quota: What all calls share.
        patience: Seconds from now after which no retry begins.
    """

    __slots__ = ("_brief_left", "_delays", "_give_up_at", "_quota")

    def __init__(self, quota: RetryQuota, patience: float) -> None:
        self._quota = quota
        self._give_up_at = _clock.monotonic() + patience
        self._delays: Iterator[float] | None = None
        self._brief_left = _BRIEF_RETRIES

    def next_delay(self, at_least: float | None, *, is_brief: bool = False) -> float | None:
        """Seconds before the next retry; None: no more retries.

        Args:
            at_least: The wait that the API asked for.
            is_brief: Whether only a few retries are allowed for this outcome.
        """
        if is_brief:
            self._brief_left -= 1
            if self._brief_left < 0:
                return None
        if self._delays is None:
            self._delays = delays()
        delay = max(next(self._delays), at_least or 0.0)
        in_time = _clock.monotonic() + delay <= self._give_up_at
        return delay if in_time and self._quota.take() else None
