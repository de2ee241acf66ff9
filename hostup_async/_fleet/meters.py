"""What a run uses of its client: requests, 429s, time; counted from its begin to its end."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from hostup_async import _clock
from hostup_async._fleet.context import ClientParts
from hostup_async._fleet.engine import Engine
from hostup_async._fleet.forecast import Progress, seconds_left
from hostup_async._fleet.journal import Journal
from hostup_async._fleet.rollout import Rollout
from hostup_async._models import Action
from hostup_async._store.records import Entry, EntryState


class Meters:
    """Counters of a client, read at a run's begin, and again whenever the run is asked.

    Args:
        parts: What the run works with; other work of the same client counts too.
        entries: Where its VPSes stand at its begin.
    """

    def __init__(self, parts: ClientParts, entries: Iterable[Entry]) -> None:
        self._parts: Final = parts
        self._attempts_before: Final = {
            one.position: one.attempts for one in entries if not one.state.is_terminal
        }
        self._began_at: Final = _clock.monotonic()
        self._ended_at: float | None = None
        self._requests_before: Final = Counter(parts.requester.requests)
        self._limited_before: Final = parts.budget.snapshot().limited
        self._held_back_before: Final = parts.poller.held_back

    def stop(self) -> None:
        """Let the time stand still: the run is over."""
        self._ended_at = _clock.monotonic()

    @property
    def seconds(self) -> float:
        """How long the run has been going on, or took."""
        now = _clock.monotonic() if self._ended_at is None else self._ended_at
        return now - self._began_at

    @property
    def requests(self) -> dict[str, int]:
        """Requests sent since the begin, by kind."""
        return dict(self._parts.requester.requests - self._requests_before)

    def _known(self, counts: Counter[EntryState]) -> int:
        """VPSes whose outcome became known since the begin."""
        ended = sum(count for state, count in counts.items() if state.is_terminal)
        return ended - (counts.total() - len(self._attempts_before))

    def seconds_left(
        self, action: Action, engine: Engine, journal: Journal, rollout: Rollout
    ) -> float | None:
        """How long the run still takes, see `forecast`."""
        planned = 0 if rollout.is_stopped else journal.counts[EntryState.PLANNED]
        window, requests = engine.window(), self.requests
        steps, in_steps = rollout.steps_left(planned, window)
        progress = Progress(
            planned=planned,
            in_flight=engine.in_flight,
            youngest=engine.youngest,
            known=self._known(journal.counts),
            requests=requests.get("action", 0) + requests.get("poll", 0),
            steps=steps,
            in_steps=in_steps,
            window=window,
        )
        durations = self._parts.poller.durations(action)
        return seconds_left(progress, durations, self._parts.requester.limiter.seconds_for)

    @property
    def limited(self) -> int:
        """429 responses since the begin."""
        return self._parts.budget.snapshot().limited - self._limited_before

    @property
    def held_back(self) -> float:
        """Seconds since the begin in which `max_in_flight` left requests unused."""
        return self._parts.poller.held_back - self._held_back_before

    @property
    def rate(self) -> float | None:
        """Requests a second that the limit allows; None without a limit, or while it is unknown."""
        actions = self._parts.requester.limiter.allowed().actions
        return actions.rate if actions else None

    def floor(self, entries: Iterable[Entry]) -> float | None:
        """The least seconds for what this process had to do, by what the API allows.

        One request for each action that it sent, and one for each job that it had to follow,
        though another process may have sent it.
        """
        ours = [entry for entry in entries if entry.position in self._attempts_before]
        sent = sum(1 for one in ours if one.attempts > self._attempts_before[one.position])
        followed = sum(1 for one in ours if one.attempts)
        return self._parts.requester.limiter.allowed().least_seconds(sent, followed)
