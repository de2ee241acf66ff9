"""A budget that explains itself."""

from collections.abc import Sequence
from math import inf

from attrs import frozen

from hostup_async._ratelimit.limits import WaitReason
from hostup_async._ratelimit.queue import WaitQueue


@frozen(kw_only=True)
class BudgetSnapshot:
    """The state of a budget at one moment.

    Attributes:
        in_flight: Requests sent and not yet answered.
        queued: Requests that wait for a permit.
        reason: Why they wait.
        wait: Seconds until the next permit, as far as known; 0.0 when there is no wait.
        left: Permits left before the next wait, None where no limit is known.
        limit: Requests a window, None where unknown.
        window: Seconds of a window, None where unknown.
        share: The part of the limit that we allow ourselves, from 0 to 1: others may use the key.
        limited: How often the API answered with 429.
        is_split: Whether actions and reads turned out to have limits of their own; the fields
            above then tell of the one that makes requests wait longer.
    """

    in_flight: int
    queued: int
    reason: WaitReason
    wait: float
    left: int | None
    limit: int | None
    window: float | None
    share: float
    limited: int
    is_split: bool

    @property
    def paused(self) -> bool:
        """Whether the API asked for the wait."""
        return self.reason is WaitReason.LIMITED

    @property
    def why(self) -> str:
        """The wait, for people."""
        queue = f"{self.queued} queued"
        match self.reason:
            case WaitReason.LIMITED:
                return f"429: the limit resets in {self.wait:.1f} s, {queue}"
            case WaitReason.USED_UP:
                return f"{self._what} used up: {self.wait:.1f} s to go, {queue}"
            case WaitReason.LEARNING:
                return f"learning the limit: {self.in_flight} in flight, {queue}"
            case _:
                return "nothing waits"

    @property
    def _what(self) -> str:
        if self.limit is None or self.window is None:
            return "the limit is"
        return f"{self.limit} requests in {self.window:g} s are"


def take_snapshot(lanes: Sequence[WaitQueue], now: float) -> BudgetSnapshot:
    """What the lanes show, the slowest one's limit in front."""
    lane = max(lanes, key=lambda one: (one.waiting > 0, one.ledger.wait_behind(0, now)))
    ledger, belief = lane.ledger, lane.ledger.belief
    free = ledger.free(now)
    queued = sum(one.waiting for one in lanes)
    return BudgetSnapshot(
        in_flight=sum(one.ledger.in_flight for one in lanes),
        queued=queued,
        reason=_reason(lane, now, free),
        wait=0.0 if free >= 1 else ledger.wait_behind(0, now),
        left=max(0, int(free)) if belief.is_known else None,
        limit=int(belief.limit) if belief.is_known else None,
        window=belief.window if belief.is_known else None,
        share=min(1.0, belief.cap / belief.limit) if belief.is_known else 1.0,
        limited=sum(one.ledger.limited_count for one in lanes),
        is_split=len(lanes) > 1,
    )


def _reason(lane: WaitQueue, now: float, free: float) -> WaitReason:
    if now < lane.ledger.paused_until:
        return WaitReason.LIMITED
    if free >= 1:
        return WaitReason.NONE
    is_counted = lane.ledger.opens_at(now) < inf
    return WaitReason.USED_UP if is_counted else WaitReason.LEARNING
