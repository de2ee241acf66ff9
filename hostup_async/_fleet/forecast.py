"""How many seconds a run still takes. Pure.

A run ends with its last job, and three things hold that up; the longest of them counts:

- **the rate limit**: the pause, and the windows that the requests still needed take. An action
  takes two requests at least, and what was spent beyond that until now is expected to go on;
- **the ramp**: each step waits for about one job, and what follows it for the rate limit;
- **the bound on VPSes in flight**: its places, each taken for about one job.

After the last send, the last job takes its time. Where nothing is known of the limit, it counts as
none; where nothing is known of durations, there is no forecast. Units: seconds, VPSes, requests.

Rejected: the pace of the last seconds. It says hours during a canary, and stands still in a pause.
"""

from collections.abc import Callable
from typing import Final

from attrs import frozen

from hostup_async._polling.durations import DurationModel

SecondsFor = Callable[[float, float], float | None]
"""Seconds until these numbers of actions and reads have gone; None where the limit is unknown."""

_USUAL: Final = 10
"""VPSes without waste that are reckoned with those seen: the first few say little of the rest."""


@frozen(kw_only=True)
class Progress:
    """Where a run stands.

    Attributes:
        planned: VPSes that nothing was sent to.
        in_flight: VPSes that something may have been sent to, and whose outcome is not known.
        youngest: Seconds since the newest of those was sent.
        known: VPSes whose outcome this process made known.
        requests: Actions and polls sent by this process.
        steps: Steps of the ramp that must be known before it holds nothing up any more.
        in_steps: How many of the planned VPSes are sent in those.
        window: VPSes that may be in flight.
    """

    planned: int
    in_flight: int
    youngest: float
    known: int
    requests: int
    steps: int
    in_steps: int
    window: int

    @property
    def waste(self) -> float:
        """Requests sent for each that was needed, of those whose need is known."""
        needed = 2 * self.known + self.in_flight
        return max(1.0, (2 * _USUAL + self.requests) / (2 * _USUAL + needed))


def seconds_left(
    progress: Progress, durations: DurationModel, seconds_for: SecondsFor
) -> float | None:
    """Seconds until every outcome is known; None where no job's end was seen yet."""
    if not durations.confidence():
        return None
    if not progress.planned:
        return _seconds_of_limit(progress, 0, seconds_for, durations.mean_left(progress.youngest))
    mean = durations.mean()
    ramp = progress.steps * mean
    after_ramp = _seconds_of_limit(
        progress, progress.planned - progress.in_steps, seconds_for, mean
    )
    places = progress.planned / max(1, progress.window) * mean + mean
    return max(
        _seconds_of_limit(progress, progress.planned, seconds_for, mean), ramp + after_ramp, places
    )


def _seconds_of_limit(
    progress: Progress, planned: int, seconds_for: SecondsFor, last_job: float
) -> float:
    """Seconds until these are sent and all is polled, the last one at the end of its job."""
    polls = (planned + progress.in_flight + planned) * progress.waste - planned
    all_sent = seconds_for(planned, 0.0) or 0.0
    return max(seconds_for(planned, polls) or 0.0, all_sent + last_job)
