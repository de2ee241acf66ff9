"""An action that was accepted, and the job that carries it out."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import nullcontext
from itertools import chain
from typing import Any, Final

from hostup_async import _clock
from hostup_async._cancellation import finish
from hostup_async._config import Seconds, seconds
from hostup_async._errors import (
    HostUpError,
    JobFailed,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    WaitTimeout,
)
from hostup_async._events import current_run, in_run
from hostup_async._http.problems import make_outcome_unknown
from hostup_async._http.requester import Requester
from hostup_async._models import Action, Job, JobStatus
from hostup_async._polling.poller import Poller
from hostup_async._polling.watch import Watch
from hostup_async._ratelimit.queue import Permit
from hostup_async._token import OperationRef, make_token


class Operation:
    """An accepted action: poll its job, wait for its end, or take its token elsewhere.

    Example:
        >>> async def reset(client, vps_id):
        ...     operation = await client.vps.reset(vps_id)
        ...     print(operation.token())  # enough to go on waiting in another process
        ...     return await operation.wait(timeout=600)
    """

    def __init__(
        self, requester: Requester, poller: Poller, ref: OperationRef, job: Job | None = None
    ) -> None:
        self._requester = requester
        self._poller = poller
        self._ref: Final = ref
        requester.jobs.claim(ref.vps_id, ref.job_id, ref.poll_url)
        self._poll_error: HostUpError | None = None
        self._run_id: Final = current_run()  # it is polled in a task that works for all runs
        self._job: Job = job or Job(id=ref.job_id, poll_url=ref.poll_url)

    def __repr__(self) -> str:
        return f"<Operation: {self._what}, job {self.job_id!r}, {self.job.status}>"

    @property
    def job(self) -> Job:
        """The job as last seen."""
        return self._job

    @property
    def vps_id(self) -> str | None:
        """The VPS; None for an operation that was made of a bare poll URL."""
        return self._ref.vps_id

    @property
    def action(self) -> Action | None:
        """The action; None for an operation that was made of a bare poll URL."""
        return self._ref.action

    @property
    def job_id(self) -> str | None:
        """The job's id, None where the API named no job."""
        return self._ref.job_id or self.job.id

    @property
    def poll_url(self) -> str | None:
        """Where to poll the job, as the API gave it; None where it named no job."""
        return self._ref.poll_url

    @property
    def sent_at(self) -> float | None:
        """When the action was sent: seconds since the epoch, by the sender's clock."""
        return self._ref.sent_at

    @property
    def accepted_at(self) -> float | None:
        """When it was accepted: seconds since the epoch, by the sender's clock."""
        return self._ref.accepted_at

    def token(self) -> str:
        """A short text without secrets, for `client.operation(token)` in any other process."""
        return make_token(self._ref)

    async def poll(self) -> Job:
        """Poll the job once; a job that has ended is not polled again.

        Raises:
            OutcomeUnknown: The API named no job, has forgotten it, or named it for another VPS too.
            UntrustedPollUrl: The poll URL leads away from the API; it was not followed.
        """
        return (await self._poll())[0]

    async def wait(self, *, timeout: Seconds = 600) -> Job:  # noqa: ASYNC109 - the wait's own bound
        """Wait for the job's end; a poll without a response is repeated later.

        Args:
            timeout: How long, in seconds or as a `timedelta`.

        Raises:
            JobFailed: The job ended in failure.
            WaitTimeout: It has not ended yet; it goes on, and its token goes with the error.
            OutcomeUnknown: The API named no job, has forgotten it, or named it for another VPS too.
            UntrustedPollUrl: The poll URL leads away from the API; it was not followed.
        """
        longest = seconds(timeout, name="timeout")
        if not self.job.is_final:
            try:
                await self._follow(longest)
            except asyncio.CancelledError as cancellation:
                cancellation.add_note(self._cancellation_note())
                raise
        self._refuse_disputed()
        if self.job.status == JobStatus.FAILED:
            why = f": {self.job.error}" if self.job.error else ", and it does not say why"
            msg = f"The {self._what} failed{why}. Check the VPS before you try again."
            raise JobFailed(msg, vps_id=self.vps_id, job=self.job)
        return self.job

    def _watch(self, patience: float) -> Watch:
        self._known_url()  # a job that cannot be polled fails here, not at the first poll
        age = 0.0 if self.accepted_at is None else _clock.wall() - self.accepted_at
        return self._poller.watch(self._poll, action=self.action, age=age, patience=patience)

    async def _follow(self, longest: float) -> None:
        try:
            await self._poller.follow(self._watch(longest))
        except TimeoutError:
            raise self._timed_out(why=f"it has not ended within {longest:.0f} s") from None
        except RateLimited as error:
            raise self._timed_out(why=f"it cannot be polled in time, {error}") from error

    async def _poll(
        self, permit: Permit | None = None, max_wait: float | None = None
    ) -> tuple[Job, float]:
        """Poll the job, and return it with the seconds to wait before the next poll.

        A `permit` that was taken before is spent, or given back where there is nothing to poll.
        """
        with permit or nullcontext():
            self._refuse_disputed()
            if self.job.is_final:
                return self.job, 0.0
            url = self._requester.trusted_url(self._known_url())
            try:
                with in_run(self._run_id):
                    job, min_delay = await self._requester.poll_job(
                        url, self.job_id, vps_id=self.vps_id, max_wait=max_wait, permit=permit
                    )
            except NotFound as error:
                raise self._lost(why="the API has forgotten the job", error=error) from error
            except HostUpError as error:
                self._poll_error = error
                raise
            self._poll_error = None
        self._refuse_disputed()
        if not self.job.is_final:  # a poll that began later may have ended sooner
            self._job = job
        return self.job, min_delay

    def _cancellation_note(self) -> str:
        """The note for an exception that would otherwise lose this operation.

        `hostup_sync` adds it too.
        """
        return (
            f"The {self._what} was accepted, as job {self.job_id!r}, and goes on; "
            f"follow it with client.operation({self.token()!r})."
        )

    def _refuse_disputed(self) -> None:
        if self._requester.jobs.is_disputed(self.job_id, self.poll_url):
            raise self._lost(why="the API named its job for another VPS as well")

    def _known_url(self) -> str:
        if self.poll_url is None:
            raise self._lost(why="the API accepted it without naming a job")
        return self.poll_url

    def _lost(self, *, why: str, error: NotFound | None = None) -> OutcomeUnknown:
        return make_outcome_unknown(
            why,
            vps_id=self.vps_id,
            action=self.action,
            sent_at=self.sent_at,
            problem=error.problem if error else None,
        )

    def _timed_out(self, *, why: str) -> WaitTimeout:
        if self._poll_error is not None:
            why += f" (the last poll failed: {str(self._poll_error).rstrip('.')})"
        return WaitTimeout(
            f"The {self._what} goes on, but {why}. Go on waiting with "
            f"client.operation({self.token()!r}).wait(...); do not send the action again.",
            vps_id=self.vps_id,
            job=self.job,
            token=self.token(),
        )

    @property
    def _what(self) -> str:
        return f"{self.action} of {self.vps_id}" if self.action else f"job at {self.poll_url!r}"


def watch(operation: Operation, *, patience: float) -> Watch:
    """Have the client's poller watch the job, from now on and for `patience` seconds."""
    # For the fleet alone, and not for users.
    return operation._watch(patience)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


async def as_they_end(
    operations: Iterable[Operation],
    timeout: float,  # noqa: ASYNC109 - each wait's own bound
) -> AsyncIterator[tuple[Operation, Job | HostUpError]]:
    """Wait for all at once, and yield each with its job, or its error, as it ends.

    A cancellation takes along the notes that the waits which it ends leave.
    """
    tasks = {asyncio.create_task(_outcome(one, timeout)): one for one in operations}
    waiting = set(tasks)
    try:
        try:
            while waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    yield tasks[task], task.result()
        finally:
            await _end(tasks)
    except asyncio.CancelledError as cancellation:
        for note in chain.from_iterable(map(_notes_of, tasks)):
            cancellation.add_note(note)
        raise


async def _outcome(operation: Operation, longest: float) -> Job | HostUpError:
    try:
        return await operation.wait(timeout=longest)
    except HostUpError as error:
        return error


async def _end(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel tasks, and return when all have ended, although cancelled meanwhile."""
    for task in tasks:
        task.cancel()
    if tasks:
        await finish(asyncio.create_task(asyncio.wait(tasks)))


def _notes_of(task: asyncio.Task[Any]) -> list[str]:
    """The notes of the error that a task ended with."""
    try:
        task.result()
    except BaseException as error:  # noqa: BLE001 - whatever ended it, only its notes are wanted
        return getattr(error, "__notes__", [])
    return []
