"""The events that a client hands to its `on_event` callback: frozen data, a class for each."""

import logging
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, TypeVar

from attrs import field, frozen

from hostup_async import _clock
from hostup_async._json import JsonReady
from hostup_async._models import Action
from hostup_async._outcome import Outcome, OutcomeStatus, StopCause
from hostup_async._ratelimit.limits import WaitReason

_LOGGER: Final = logging.getLogger("hostup.events")
# What happens on behalf of a run happens in many tasks and layers, of which few know of runs.
_RUN: Final = ContextVar[str | None]("hostup_run", default=None)


def current_run() -> str | None:
    """The run on whose behalf this task works; None outside runs."""
    return _RUN.get()


@contextmanager
def in_run(run_id: str | None) -> Generator[None, None, None]:
    """Work on behalf of a run: the events of this time bear its id."""
    token = _RUN.set(run_id)
    try:
        yield
    finally:
        _RUN.reset(token)


# A class below that always knows one of these fields declares it anew, as `field()`: without that,
# pyright takes it to keep its default.
@frozen
class Event(JsonReady):
    """The root of all events. What an event is not about, or is not known, is None.

    Two events are equal if they differ in nothing but `at`.

    Attributes:
        at: When it happened, in seconds since the epoch by this machine's clock.
        run_id: The fleet run on whose behalf it happened.
        vps_id: The VPS that it is about.
        attempt: Which try of the request it was, from 1; of an outcome, how often it was sent.
        request_id: The API's id of the request, for HostUp's support.
    """

    at: float = field(factory=lambda: _clock.wall(), kw_only=True, eq=False)  # noqa: PLW0108 - bound late
    run_id: str | None = field(factory=current_run, kw_only=True)
    vps_id: str | None = field(default=None, kw_only=True)
    attempt: int | None = field(default=None, kw_only=True)
    request_id: str | None = field(default=None, kw_only=True)


@frozen
class RequestDone(Event):
    """A request ended: with a response, or with an error. It may be tried again.

    Attributes:
        method: `GET` or `POST`.
        path: The path of its URL.
        status: The HTTP status, None without a response.
        seconds: How long it took, the wait for the limit not included.
    """

    method: str
    path: str
    status: int | None
    seconds: float


@frozen
class Retrying(Event):
    """A request will be tried again after `delay` seconds, because of `reason`."""

    method: str
    path: str
    delay: float
    reason: str


@frozen
class Paused(Event):
    """The API answered with 429: nothing is sent for `seconds`; `queued` requests wait."""

    seconds: float
    queued: int


@frozen
class Waiting(Event):
    """Requests wait for a permit, from now for about `seconds`.

    Attributes:
        reason: Why: a 429 of the API, the limit used up by our own count, or not known yet.
        seconds: How long, as far as known.
        why: The reason in words, with the number of requests that queue.
    """

    reason: WaitReason
    seconds: float
    why: str


@frozen
class Accepted(Event):
    """An action was accepted; this event comes also if the caller was cancelled meanwhile.

    Attributes:
        vps_id: The VPS.
        action: The action.
        job_id: The job's id, None where the API named no job.
        token: What `client.operation(token)` takes to follow the job, here or elsewhere.
    """

    vps_id: str = field()
    action: Action
    job_id: str | None
    token: str


@frozen
class InDoubt(Event):
    """An action was sent, or may have been, and its outcome is unknown.

    Attributes:
        vps_id: The VPS; check its status before anything is sent again.
        action: The action.
        sent_at: When it was sent, in seconds since the epoch.
        reason: What is known, in words.
    """

    vps_id: str = field()
    action: Action
    sent_at: float
    reason: str


@frozen
class OutcomeKnown(Event):
    """The outcome of one VPS of a fleet run is known."""

    run_id: str = field()
    outcome: Outcome


@frozen
class RunBegun(Event):
    """A fleet run has begun, or goes on: it is recorded in its store, and sends from now on.

    Attributes:
        run_id: The run.
        action: What it does to each VPS.
        total: How many VPSes its plan has.
        is_resumed: Whether it was begun before, by this process or another.
    """

    run_id: str = field()
    action: Action
    total: int
    is_resumed: bool


@frozen
class RunStopped(Event):
    """A fleet run sends nothing more; what is in flight is followed.

    Attributes:
        run_id: The run.
        cause: Why, for programs.
        reason: Why, in a sentence.
    """

    run_id: str = field()
    cause: StopCause
    reason: str


@frozen
class RunEnded(Event):
    """A fleet run has ended in this process: the last of its events.

    Attributes:
        run_id: The run.
        counts: How many VPSes ended how.
        seconds: How long it took in this process.
        stop_cause: Why it stopped sending; None where everything was sent.
    """

    run_id: str = field()
    counts: Mapping[OutcomeStatus, int]
    seconds: float
    stop_cause: StopCause | None


E = TypeVar("E", bound=Event)
OnEvent = Callable[[Event], None]
"""A plain callable, called on the thread of the client's event loop: it must not block, and what it
raises is logged and otherwise ignored. In `hostup_sync` that is a thread of the package's own, on
which no method of the client can be called."""


def tell(on_event: Callable[[E], object] | None, event: E) -> None:
    """Hand over an event. The listener's mistakes must not cost a job its outcome."""
    if on_event is None:
        return
    try:
        on_event(event)
    except Exception:  # any mistake of the listener's
        _LOGGER.exception("The on_event callback raised an error.")
