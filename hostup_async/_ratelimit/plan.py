"""What a ledger's requests are enough for: this window, and the windows after it. Pure.

Units: requests, and seconds.
"""

from math import ceil, inf
from typing import Final

from attrs import frozen

from hostup_async._ratelimit.ledger import Ledger

_IN_VAIN: Final = 0.25
"""Requests in vain for each that is needed: what is held back of the requests left over, so that
the first jobs of a fleet do not use up what the last ones will want."""


@frozen(kw_only=True)
class WindowPlan:
    """Where requests are to spare.

    Attributes:
        surplus: How many may be spent besides the wanted ones without needing one more window.
            Negative where some are missing for each of those to be repeated now and then; infinite
            where nothing is known that could be used up.
        spare: How many are left over of the windows that the wanted ones need; None where there
            are no windows to plan.
        left: How many more this window has, though not all may be in flight at once.
        renewed_in: Seconds until a first request of this window counts no more, infinite without
            any.
        period: Seconds after which requests come back together; 0.0 where they flow or none is
            known.
    """

    surplus: float
    spare: float | None
    left: float
    renewed_in: float
    period: float


def plan_of(ledger: Ledger, now: float, wanted: float) -> WindowPlan:
    """The plan for as many requests as are wanted, infinite where that is unknown."""
    estimate, left = ledger.estimate, ledger.left(now)
    spare, has_windows = None, estimate.is_known and estimate.pacer is None
    if has_windows and wanted < inf:
        windows = ceil(max(0, wanted - left) / estimate.cap)
        spare = left + windows * estimate.cap - wanted
    return WindowPlan(
        surplus=_surplus(ledger, now, wanted, spare),
        spare=spare,
        left=left,
        renewed_in=ledger.renewed_in(now),
        period=estimate.window if has_windows else 0.0,
    )


def _surplus(ledger: Ledger, now: float, wanted: float, spare: float | None) -> float:
    available, estimate = ledger.available(now), ledger.estimate
    if estimate.pacer or estimate.at_once.is_limited:
        return max(0, min(available - 1, 0 if wanted else inf))
    if not estimate.is_known:
        return inf
    return max(0, available) if spare is None else spare - _IN_VAIN * wanted


def seconds_for(ledger: Ledger, requests: float, now: float) -> float | None:
    """Seconds until this many more requests have gone; None where the limit is unknown.

    The pause and all windows that they need are counted, and no latency.
    """
    estimate, paused = ledger.estimate, max(0.0, ledger.closed_until - now)
    if estimate.pacer or not estimate.is_known:
        return None if ledger.rate is None else paused + requests / ledger.rate
    room = ledger.left(now)
    if not paused and requests <= room:
        return 0.0
    renewed_in = ledger.renewed_in(now)
    first = paused or (renewed_in if renewed_in < inf else estimate.span)
    return first + (ceil((requests - room) / estimate.cap) - 1) * estimate.span
