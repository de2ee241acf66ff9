"""A budget that explains itself."""

from collections.abc import Sequence
from math import inf
from typing import Any

from attrs import frozen

from hostup_async._json import JsonReady
from hostup_async._ratelimit.ledger import Ledger
from hostup_async._ratelimit.limits import WaitReason
from hostup_async._ratelimit.queue import WaitQueue


@frozen(kw_only=True)
class BudgetSnapshot(JsonReady):
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
        is_split: Whether actions and reads have limits of their own, as you said with
            `read_limit` or as the API's 429s showed. The fields on the wait and on the limit then
            describe the one that makes requests wait longer.
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

    def to_dict(self) -> dict[str, Any]:
        """The snapshot as JSON can carry it, with `paused` and `why`."""
        return super().to_dict() | {"paused": self.paused, "why": self.why}

    @property
    def _what(self) -> str:
        if self.limit is None or self.window is None:
            return "the limit is"
        return f"{self.limit} requests in {self.window:g} s are"


def take_snapshot(queues: Sequence[WaitQueue], now: float) -> BudgetSnapshot:
    """What the queues show, with the limit in front that makes requests wait longest."""
    ledgers = {queue: queue.ledger for queue in queues}
    queue = max(queues, key=lambda one: (one.waiting > 0, ledgers[one].wait_behind(0, now)))
    ledger, estimate = ledgers[queue], ledgers[queue].estimate
    available = ledger.available(now)
    return BudgetSnapshot(
        in_flight=sum(one.in_flight for one in ledgers.values()),
        queued=sum(one.waiting for one in queues),
        reason=_reason(ledger, now, available),
        wait=0.0 if available >= 1 else ledger.wait_behind(0, now),
        left=max(0, int(available)) if estimate.is_known else None,
        limit=int(estimate.limit) if estimate.is_known else None,
        window=estimate.window if estimate.is_known else None,
        share=min(1.0, estimate.cap / estimate.limit) if estimate.is_known else 1.0,
        limited=sum(one.throttled_count for one in ledgers.values()),
        is_split=len(queues) > 1,
    )


def summarize(snapshot: BudgetSnapshot) -> str:
    """The state in a few words, for a `repr`."""
    known = snapshot.limit is not None
    limit = f"{snapshot.left} of {snapshot.limit} left" if known else "no limit known"
    return f"{limit}, {snapshot.in_flight} in flight, {snapshot.queued} queued"


def _reason(ledger: Ledger, now: float, available: float) -> WaitReason:
    if now < ledger.paused_until:
        return WaitReason.LIMITED
    if available >= 1:
        return WaitReason.NONE
    is_counted = ledger.opens_at(now) < inf
    return WaitReason.USED_UP if is_counted else WaitReason.LEARNING
