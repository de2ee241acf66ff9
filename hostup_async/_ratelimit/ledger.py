"""The books of one rate limit: what was spent, and when more may be. Pure: time is passed in.

Requests count from the moment they were answered, for as long as the window is, and what is in
flight is held in reserve: so the limit is kept in any window, wherever the server's begins.
"""

from collections import deque
from math import inf
from typing import Final

from hostup_async._ratelimit.estimate import LimitEstimate, Observation
from hostup_async._ratelimit.headers import EMPTY, RateLimitReading
from hostup_async._ratelimit.limits import RateLimit

# A 429 that names no moment: public clients of the API wait so long, then double it.
FIRST_PAUSE: Final = 30.0
LONGEST_PAUSE: Final = 300.0
# A server that says "try again in 0 s" at every try must not be tried in a tight loop.
SHORTEST_PAUSE: Final = 0.1
# After so long a pause, one request asks whether it still holds.
LONGEST_TRUST: Final = 3600.0
# How far back the books go while no window is known.
_LOOK_BACK: Final = 60.0
# So much of a window must have gone by before what expires can be the next one's opening.
_WHOLE: Final = 0.9
# A window shows that the one before it was over if it is used this soon, and so often.
_LATE: Final = 0.1
_CONFIRMS: Final = 8
# At so many moments it is seen whether permits run short: those used in a burst return in one.
_STEPS: Final = 8


class Ledger:
    """Counts along with one limit of the API.

    Attributes:
        belief: What is known of the limit.
        in_flight: Requests granted and not yet over.
        limited_count: How often the API said 429.
        paused_until: Until when nobody sends, because the API said 429.
    """

    def __init__(self, given: RateLimit | None = None) -> None:
        self.belief: Final = LimitEstimate(given)
        self.in_flight = 0
        self.limited_count = 0
        self.paused_until = -inf
        self._counts: Final = given is None or given.requests < inf
        self._spent: deque[float] = deque()
        self._paused_at = -inf
        self._lowered_at = -inf
        self._next_pause = FIRST_PAUSE
        self._since_429 = 0
        # The window: when it could open, when it did, what was accepted in it.
        self._opening = -inf
        self._opened_at: float | None = None
        self._since_opening = 0
        self._opened_by_count = False
        self._opened_in_time = False
        self._probing = False
        # What a success said is left of it, and until when that holds.
        self._told_left = inf
        self._told_until = -inf

    def free(self, now: float) -> float:
        """How many more requests may go at this moment."""
        if now < self._shut_until:
            return 0
        self._expire(now)
        belief = self.belief
        room = min(belief.cap - len(self._spent), belief.most_in_flight(self._since_429))
        if self._told_left < inf:
            room = min(room, max(self._told_left, now >= self._told_until))
        if self._probing:
            room = min(room, 1)
        return room - self.in_flight

    def spare(self, now: float, wanted: float = inf) -> float:
        """How many more may go now without falling behind an even rate as the window moves on.

        Below 0: so many will be missing at some time, of the `wanted` ones that go evenly.
        """
        free, spent, span = self.free(now), self._spent, self.belief.span
        if free < 1 or not spent or not self.belief.is_known:
            return max(0, free)
        rate = self.belief.rate or 0
        steps = range(0, len(spent), len(spent) // _STEPS + 1)
        return min(free + n - min((spent[n] + span - now) * rate, wanted) for n in steps)

    def opens_at(self, now: float) -> float:
        """When the next request may go; infinite where only an answer under way can tell."""
        if now < self._shut_until:
            return self._shut_until
        if now < self._told_until and self._told_left - self.in_flight < 1:
            return self._told_until
        full = self.belief.cap - len(self._spent) - self.in_flight < 1
        return self._spent[0] + self.belief.span if full and self._spent else inf

    def wait_behind(self, ahead: int, now: float) -> float:
        """Seconds until a request could go that has so many before it, as far as is known."""
        opens_at, belief = self.opens_at(now), self.belief
        if opens_at == inf:
            return 0.0
        more = ahead // belief.cap * belief.span if belief.is_known else 0.0
        return max(opens_at, self.paused_until) - now + more

    def answered(
        self, now: float, granted_at: float, sends: int = 1, reading: RateLimitReading = EMPTY
    ) -> None:
        """A request went out, `sends` times, and was not refused."""
        self.in_flight -= 1
        if not self._counts:
            return
        self._spent.append(now) if sends == 1 else self._spent.extend([now] * sends)
        if self.belief.given:
            return
        if granted_at > self._paused_at:
            self._since_429 += 1
            self._next_pause = FIRST_PAUSE
        else:
            self.belief.accepted_late()
        if granted_at >= self._opening:
            if not self._since_opening:
                self._opened_at, self._probing = granted_at, False
                self._opened_in_time = granted_at - self._opening < _LATE * self.belief.span
            self._since_opening += 1
        if reading is not EMPTY:
            self._hear(reading, now, granted_at)
        else:
            self._told_left -= 1

    def limited(
        self, now: float, granted_at: float, reading: RateLimitReading = EMPTY
    ) -> float | None:
        """The API said 429; returns the seconds of the pause that this begins, if it does.

        What was sent before the pause began extends it at most: it is no second offence.
        """
        self.in_flight -= 1
        self.limited_count += 1
        if self.belief.given:
            self._spent.append(now)  # who knows the limit wants it kept, whatever counts
        fresh = granted_at > self._paused_at
        wait = self._pause(reading, fresh=fresh)
        if wait is not None:
            self.paused_until = max(self.paused_until, now + wait)
        if not fresh:
            return None
        self.belief.limited(reading, self._evidence(now, granted_at))
        self._paused_at = self._lowered_at = now
        self._since_429 = 0
        self._open_next(max(now, self._shut_until), by_count=False)
        self._probing, self._told_left = True, inf
        return wait

    @property
    def _shut_until(self) -> float:
        return min(self.paused_until, self._paused_at + LONGEST_TRUST)

    def _pause(self, reading: RateLimitReading, *, fresh: bool) -> float | None:
        asked = reading.reset_after if reading.retry_after is None else reading.retry_after
        if asked is not None:
            return max(asked, SHORTEST_PAUSE)
        if not fresh:
            return None
        wait, self._next_pause = self._next_pause, min(2 * self._next_pause, LONGEST_PAUSE)
        return wait

    def _expire(self, now: float) -> None:
        """Forget what is older than the window; where that opens the next one, take note."""
        spent, belief = self._spent, self.belief
        span = belief.span if belief.is_known else _LOOK_BACK
        if not spent or spent[0] + span > now:
            return
        if len(spent) + self.in_flight >= belief.cap and now - self._opening >= _WHOLE * span:
            self._note_used_up(now)
        while spent and spent[0] + span <= now:
            spent.popleft()

    def _note_used_up(self, now: float) -> None:
        """A window that was used up is over: the next one shows whether it was as believed."""
        belief = self.belief
        enough = self._since_opening >= min(belief.cap, _CONFIRMS)
        if enough and self._opened_by_count and self._opened_in_time:
            belief.confirmed = True
        belief.grow(now)
        self._opened_at = self._spent[0]
        self._open_next(now, by_count=True)
        self._probing = not belief.confirmed

    def _open_next(self, now: float, *, by_count: bool) -> None:
        self._opening, self._since_opening, self._opened_by_count = now, 0, by_count

    def _hear(self, reading: RateLimitReading, now: float, granted_at: float) -> None:
        """A success tells where we stand, when it was sent at the latest.

        So what it says lowers our belief at once, and raises it only if the request was sent
        after the last lowering: answers overtake each other.
        """
        news = granted_at > self._lowered_at
        self.belief.heard(reading, self._evidence(now, granted_at), news=news)
        if reading.remaining is None or reading.reset_after is None:
            return
        left = reading.remaining
        if left < self._told_left:
            self._lowered_at = now
        elif not news:
            return
        self._told_left = left
        self._told_until = now + min(reading.reset_after, LONGEST_TRUST)
        if self.belief.confirmed and self._spent:
            self._told_until = min(self._told_until, self._spent[0] + self.belief.span)

    def _evidence(self, now: float, granted_at: float) -> Observation:
        self._expire(now)
        return Observation(
            now=now,
            sent_at=granted_at,
            opened_at=self._opened_at,
            since_opening=self._since_opening,
            by_count=self._opened_by_count,
            since_429=self._since_429,
            elapsed=now - self._paused_at,
            spent=self._spent,
            told_left=self._told_left - self.in_flight,
        )
