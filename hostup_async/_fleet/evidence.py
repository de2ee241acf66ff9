"""Whether an action took place, as the VPS's own status shows it.

A reset sets the uptime back (inferred: the API does not document it). So the status is read from a
second after the send on, at the pace of `pace`, until `boot` can tell. All moments are put on one
clock, `_clock.boot`, which cannot be set: those of this process were read from it; a send of
another process is known by the server's clock, and each answer shows how far that is ahead.
"""

from math import inf
from typing import Final

import anyio
from attrs import frozen

from hostup_async import _clock
from hostup_async._errors import ClientClosed, HostUpError, Unauthorized
from hostup_async._fleet import boot, pace
from hostup_async._fleet.boot import Finding, Inquiry, Reading, Span
from hostup_async._http.requester import Requester
from hostup_async._http.server_clock import DRIFT, Moment
from hostup_async._models import Action
from hostup_async._polling.durations import DurationModel
from hostup_async._polling.poller import Poller
from hostup_async._ratelimit.limits import RequestClass
from hostup_async._store.records import Entry, EntryState
from hostup_async._vps import read_status

# A job accepted up to this many seconds after an action may have queued behind it.
_SAME_QUEUE: Final = 60.0
# Once an action must be over, its status is read for this many intervals more, at most.
_INTERVALS: Final = 6
# Seconds of the uptime between two reads, so that it is seen to grow.
_GROWS: Final = 1.2
# A read that nearly decides is repeated this often; then the second's fraction is not the reason.
_REPEATS: Final = 6
# A job's own word is checked by this many reads; evidence that is not there by then stays away.
_CHECKS: Final = 4


@frozen
class SendTime:
    """When this process sent an action; one sent twice may be carried out from the first on.

    Attributes:
        first: Between which two moments it was sent first, in `_clock.boot`.
        latest: A moment after it was sent last, in `_clock.boot`.
        moment: `latest` by the clocks that the server's is compared with.
    """

    first: Span
    latest: float
    moment: Moment

    @classmethod
    def since(cls, begun: float, before: "SendTime | None" = None) -> "SendTime":
        """Of a send that began then, and has just taken place.

        Args:
            begun: In `_clock.boot`.
            before: When the same action was sent before.
        """
        now = _clock.boot()
        first = Span(begun, now) if before is None else before.first
        return cls(first, now, Moment.now())


class Evidence:
    """Finds evidence of whether an action took place.

    Args:
        action: The action.
        requester: Reads the statuses.
        poller: Knows how long such actions take.
        interval: Seconds between two reads that together show a "not done"; a little more than a
            second at least.
        patience: Seconds after which a pending task or a queue is not waited for any more.
    """

    def __init__(
        self,
        action: Action,
        requester: Requester,
        poller: Poller,
        *,
        interval: float,
        patience: float,
    ) -> None:
        self.interval: Final = max(interval, _GROWS * boot.SECOND)
        self.patience: Final = patience
        self._action: Final = action
        self._requester: Final = requester
        self._poller: Final = poller
        self._open_jobs: Final[dict[int, float]] = {}  # when they were accepted, by position
        self._searches: Final = set[_Search]()

    @property
    def kind(self) -> str:
        """The field of the status that shows it."""
        return "uptime" if self._action in {Action.RESET, Action.RESTART} else "power_state"

    def note(self, entry: Entry) -> None:
        """Note whether the job of an entry goes on: then what was sent before may still queue."""
        if entry.state is not EntryState.ACCEPTED:
            self._open_jobs.pop(entry.position, None)
        elif entry.position not in self._open_jobs:
            self._open_jobs[entry.position] = _clock.boot()

    def by_server(self, moment: Moment) -> tuple[float, float] | None:
        """A moment by the server's clock: the earliest and the latest; None where unknown."""
        at = self._requester.transport.server_clock.at(moment)
        return None if at is None else (at.earliest, at.latest)

    async def find(self, entry: Entry, sent: SendTime | None, *, resends: bool = False) -> Finding:
        """Read the status until it shows whether the action took place, or no longer can.

        Args:
            entry: Where the action was sent; its moment counts if another process sent it.
            sent: When this process sent it; None where another process did.
            resends: Whether it would be sent again if it did not take place.

        Raises:
            ClientClosed: The client is closed.
            Unauthorized: The API refuses the key.
        """
        search = _Search(self, Inquiry(self._action, self.interval), entry, sent, resends=resends)
        self._open_jobs.pop(entry.position, None)  # its own job is not followed any more
        self._searches.add(search)
        try:
            while (finding := await search.step()) is None:
                pass
        finally:
            self._searches.discard(search)
        if finding is Finding.DONE and sent is not None:
            self._learn(search.took())
        return finding

    async def check(self, entry: Entry, sent: SendTime | None) -> Finding:
        """Whether the status confirms, just now, that a job has ended well."""
        search = _Search(self, Inquiry(self._action, self.interval), entry, sent, is_over=True)
        for _ in range(_CHECKS):
            if (finding := await search.step()) is not None:
                return finding
        return Finding.INCONCLUSIVE

    async def read(self, vps_id: str) -> Reading | None:
        """The status; None where it could not be read, which costs this read and no more."""
        requested = _clock.boot()
        try:
            status = await read_status(self._requester, vps_id, RequestClass.POLL)
        except (ClientClosed, Unauthorized):
            raise
        except HostUpError:
            return None
        return Reading(requested, _clock.boot(), status)

    def sent_elsewhere(self, entry: Entry) -> Span | None:
        """When another process sent an action, in `_clock.boot`; None where that is not known."""
        low, high, moment = entry.sent_server_low, entry.sent_server_high, Moment.now()
        here, now = _clock.boot(), self.by_server(moment)
        if low is None or high is None or now is None:
            return None
        least, most = now[0] - high, now[1] - low
        return Span(here - most - DRIFT * abs(most), here - least + DRIFT * abs(least))

    def must_be_over(self, sent: float, *, resends: bool) -> float:
        """From when on an action must be over, in `_clock.boot`; infinite while a queue lasts."""
        if any(at <= sent + _SAME_QUEUE for at in self._open_jobs.values()):
            return inf
        return sent + self.longest_wait(resends=resends)

    def longest_wait(self, *, resends: bool) -> float:
        """Seconds from the send after which an action must be over, where no queue lasts."""
        return pace.longest_wait(self._durations(), resends=resends)

    def gap(self, reads: int, age: float) -> float:
        """Seconds until the next read."""
        gap = pace.next_gap(reads, age, self._durations(), boot.SECOND)
        return max(gap, self.least_gap()) if reads else gap

    def least_gap(self) -> float:
        """Seconds between two reads of one VPS that the rate limit has room for."""
        return pace.gap_at_rate(
            len(self._searches), self._requester.limiter.rate(RequestClass.POLL)
        )

    @property
    def in_doubt(self) -> int:
        """How many actions it seeks evidence of."""
        return len(self._searches)

    @property
    def seconds_left(self) -> float | None:
        """About how many seconds until it has ended all searches; None where it has none."""
        ends = [search.ends_by for search in self._searches]
        return max(0.0, max(ends) - _clock.boot()) if ends else None

    def _durations(self) -> DurationModel:
        return self._poller.durations(self._action)

    def _learn(self, took: float | None) -> None:
        if took is not None:
            self._durations().observe_running(0.0, took)
            self._durations().observe_end(took, took)


class _Search:
    """The reads for one action, one after the other.

    Args:
        evidence: Makes them.
        inquiry: Judges them.
        entry: The action's.
        sent: When this process sent it; None where another process did.
        resends: Whether it would be sent again if it did not take place.
        is_over: Whether it is known to be over, so that the wait for that is left out.
    """

    def __init__(
        self,
        evidence: Evidence,
        inquiry: Inquiry,
        entry: Entry,
        sent: SendTime | None,
        *,
        resends: bool = False,
        is_over: bool = False,
    ) -> None:
        self._evidence: Final = evidence
        self._inquiry: Final = inquiry
        self._entry: Final = entry
        self._resends: Final = resends
        self._is_over: Final = is_over
        self._own: Final = None if sent is None else sent.first
        self._begun: Final = _clock.boot()
        # From when on the wait counts: the send, or the moment at which it was taken up.
        self._since: Final = self._begun if sent is None else sent.latest
        self._sent_by = self._since  # the upper bound of the send's moment
        self._reads = self._repeats = 0
        self._first_late: float | None = None  # the first read that was made when it must be over
        self._is_close = False

    async def step(self) -> Finding | None:
        """Wait, and read once; None while more reads may show more."""
        await anyio.sleep(self._gap())
        self._reads += 1
        reading = await self._evidence.read(self._entry.vps_id)
        over_at = self._over_at()
        if reading is not None:
            sent = self._sent()
            self._sent_by = sent.high
            finding = self._inquiry.add(reading, sent, over_at)
            if finding is not Finding.INCONCLUSIVE:
                return finding
            self._is_close = self._inquiry.is_close(reading, sent)
            if self._first_late is None and reading.requested >= over_at:
                self._first_late = reading.requested
        return Finding.INCONCLUSIVE if self._is_hopeless(reading, over_at) else None

    @property
    def ends_by(self) -> float:
        """About when it ends, in `_clock.boot`: later where jobs or tasks go on beside it."""
        evidence = self._evidence
        usual = self._since + evidence.longest_wait(resends=self._resends) + evidence.interval
        is_held_up = self._inquiry.has_pending or self._over_at() == inf
        if is_held_up and usual < _clock.boot():
            return self._since + evidence.patience
        return usual

    def took(self) -> float | None:
        """Seconds from the send to the boot, where this process sent it."""
        booted = self._inquiry.track.boot
        if booted is None or self._own is None:
            return None
        return max(0.0, (booted.low + booted.high) / 2 - self._own.high)

    def _sent(self) -> Span:
        """When the action was sent: before this process took it up, in any case."""
        if self._own is not None:
            return self._own
        elsewhere = self._evidence.sent_elsewhere(self._entry)
        if elsewhere is None or elsewhere.low > self._begun:
            return Span(-inf, self._begun)
        was_sent_once = self._entry.attempts <= 1
        return Span(
            elsewhere.low if was_sent_once else -inf,  # the first send's moment is not recorded
            min(elsewhere.high, self._begun),
        )

    def _over_at(self) -> float:
        if self._is_over:
            return -inf
        return self._evidence.must_be_over(self._since, resends=self._resends)

    def _gap(self) -> float:
        evidence, now = self._evidence, _clock.boot()
        if self._is_close and self._repeats < _REPEATS:
            self._repeats += 1
            fell = self._inquiry.track.fell
            gap = pace.repeat_gap(now - self._sent_by, boot.SECOND, fell=fell)
            return max(gap, evidence.least_gap())
        if self._is_over or (self._own is None and not self._reads):
            return evidence.interval if self._reads else 0.0
        gap, over_at = evidence.gap(self._reads, now - self._since), self._over_at()
        return min(gap, evidence.interval if now >= over_at else over_at - now)

    def _is_hopeless(self, reading: Reading | None, over_at: float) -> bool:
        """Whether reads to come can show no more than those before."""
        now, evidence = _clock.boot(), self._evidence
        shows_contrary = self._inquiry.contrary_since is not None
        if self._is_close and self._repeats < _REPEATS:
            return False
        if self._is_over:
            return reading is not None and not shows_contrary
        if self._inquiry.has_pending or over_at == inf:
            return now >= self._since + evidence.patience
        late = self._first_late
        if reading is not None and late is not None and not shows_contrary:
            return reading.requested - late >= evidence.interval
        return now >= over_at + _INTERVALS * evidence.interval
