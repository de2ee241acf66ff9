"""The events that a client hands to its `on_event` callback: frozen data, a class for each."""

import logging
from collections.abc import Callable
from typing import TypeVar

from attrs import frozen

from hostup_async._models import Action
from hostup_async._outcome import Outcome
from hostup_async._ratelimit.limits import WaitReason


@frozen
class Event:
    """The root of all events."""


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

    vps_id: str
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

    vps_id: str
    action: Action
    sent_at: float
    reason: str


@frozen
class OutcomeKnown(Event):
    """The outcome of one VPS of a fleet run is known."""

    run_id: str
    outcome: Outcome


E = TypeVar("E", bound=Event)
OnEvent = Callable[[Event], None]
"""A plain callable; what it raises is logged and otherwise ignored."""


def tell(on_event: Callable[[E], object] | None, event: E) -> None:
    """Hand over an event. The listener's mistakes must not cost a job its outcome."""
    if on_event is None:
        return
    try:
        on_event(event)
    except Exception:  # any mistake of the listener's
        logging.getLogger("hostup").exception("The on_event callback raised an error.")
