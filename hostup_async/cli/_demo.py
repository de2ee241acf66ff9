"""The demo's job: reset every VPS of a sandbox at once, and keep account of each."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

import anyio
from attrs import frozen

from hostup_async import (
    ApiError,
    BudgetSnapshot,
    Client,
    Event,
    HostUpError,
    JobFailed,
    NetworkError,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    RequestDone,
    ServerError,
    UnreadableReply,
    WaitTimeout,
)

A_DAY: Final = 86_400.0


class Status(StrEnum):
    """How far the reset of one VPS is."""

    QUEUED = "queued"
    UNDER_WAY = "under way"
    """Sent, and its end is not known yet."""
    COMPLETED = "completed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """Sent, and nobody can tell what became of it."""
    REFUSED = "refused"
    NOT_SENT = "not sent"


@frozen
class Outcome:
    """What the client knows of one reset, and in a few words why."""

    vps_id: str
    status: Status = Status.QUEUED
    reason: str = ""


@frozen
class Progress:
    """How far all of them are, at one moment.

    Attributes:
        counts: VPSes by status.
        seconds: Since the first was sent.
        requests: Requests answered, or failed, so far.
        budget: Who waits, and why.
    """

    counts: Mapping[Status, int]
    seconds: float
    requests: int
    budget: BudgetSnapshot


class Resets:
    """Resets many VPSes at once, each of them at most once.

    Args:
        vps_ids: What to reset.
    """

    def __init__(self, vps_ids: Iterable[str]) -> None:
        self._outcomes = {vps_id: Outcome(vps_id) for vps_id in vps_ids}
        self._requests = 0
        self._began = time.monotonic()
        self._ended: float | None = None

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """One for each VPS, final or not."""
        return tuple(self._outcomes.values())

    @property
    def seconds(self) -> float:
        """From the start to the end, or until now."""
        return (self._ended or time.monotonic()) - self._began

    def count(self, event: Event) -> None:
        """Count a request: the client's `on_event`."""
        self._requests += isinstance(event, RequestDone)

    def progress(self, client: Client) -> Progress:
        """How far it is now."""
        counts = Counter(outcome.status for outcome in self._outcomes.values())
        return Progress(counts, self.seconds, self._requests, client.budget.snapshot())

    async def run(self, client: Client) -> None:
        """Reset them all; a cancellation stops the sending, and waits for what is being sent."""
        self._began = time.monotonic()
        try:
            async with anyio.create_task_group() as group:
                for vps_id in self._outcomes:
                    group.start_soon(self._reset, client, vps_id)
        finally:
            self._ended = time.monotonic()

    async def _reset(self, client: Client, vps_id: str) -> None:
        try:
            operation = await client.vps.reset(vps_id)
            self._note(vps_id, Status.UNDER_WAY)
            await operation.wait(timeout=A_DAY)
        except HostUpError as error:
            sent = self._outcomes[vps_id].status is Status.UNDER_WAY
            status = _status_after(error, _ONCE_ACCEPTED if sent else _NOT_ACCEPTED)
            self._note(vps_id, status, _what_was_seen(error))
        except anyio.get_cancelled_exc_class() as stop:
            if self._outcomes[vps_id].status is Status.QUEUED:
                self._note(vps_id, _status_when_stopped(stop))
            raise
        else:
            self._note(vps_id, Status.COMPLETED)

    def _note(self, vps_id: str, status: Status, reason: str = "") -> None:
        self._outcomes[vps_id] = Outcome(vps_id, status, reason)


_NOT_ACCEPTED: Final[Mapping[type[HostUpError], Status]] = {
    NetworkError: Status.NOT_SENT,
    RateLimited: Status.NOT_SENT,
    ApiError: Status.REFUSED,
}
_ONCE_ACCEPTED: Final[Mapping[type[HostUpError], Status]] = {
    JobFailed: Status.FAILED,
    WaitTimeout: Status.UNDER_WAY,
}


def _status_after(error: HostUpError, table: Mapping[type[HostUpError], Status]) -> Status:
    found = (status for kind, status in table.items() if isinstance(error, kind))
    return next(found, Status.UNKNOWN)


def _status_when_stopped(stop: BaseException) -> Status:
    # The client leaves a note on a cancellation when, and only when, the action was sent.
    return Status.UNDER_WAY if getattr(stop, "__notes__", ()) else Status.NOT_SENT


def _what_was_seen(error: HostUpError) -> str:
    """Why an outcome is unknown, short enough to count by; of other errors, what they say."""
    if not isinstance(error, OutcomeUnknown):
        return str(error)
    match error.__cause__:
        case NotFound():
            return "the API forgot the job"
        case ServerError() as answer:
            return f"the answer was {answer.status}"
        case UnreadableReply():
            return "the answer was cut short"
        case NetworkError():
            return "the connection closed unanswered"
        case _:
            return "the answer named no job"
