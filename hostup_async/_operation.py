"""An action that was accepted, and the job that carries it out."""

from typing import Final

import anyio

from hostup_async._answers import read_job
from hostup_async._caller import Caller
from hostup_async._config import Seconds, seconds
from hostup_async._errors import JobFailed, NotFound, OutcomeUnknown, RateLimited, WaitTimeout
from hostup_async._models import Action, Job, JobStatus
from hostup_async._poller import watch
from hostup_async._refusals import make_outcome_unknown
from hostup_async._token import Ticket, make_token


class Operation:
    """An accepted action: look at its job, wait for its end, or take its token elsewhere.

    Attributes:
        job: The job as last seen.

    Example:
        >>> async def reset(client, vps_id):
        ...     operation = await client.vps.reset(vps_id)
        ...     print(operation.token())  # enough to go on waiting in another process
        ...     return await operation.wait(timeout=600)
    """

    def __init__(self, caller: Caller, ticket: Ticket, job: Job | None = None) -> None:
        self._caller = caller
        self._ticket: Final = ticket
        self.job: Job = job or Job(id=ticket.job_id, poll_url=ticket.poll_url)

    def __repr__(self) -> str:
        return f"<Operation: {self._what}, job {self.job_id!r}, {self.job.status}>"

    @property
    def vps_id(self) -> str | None:
        """The VPS; None for an operation that was made of a bare poll URL."""
        return self._ticket.vps_id

    @property
    def action(self) -> Action | None:
        """The action; None for an operation that was made of a bare poll URL."""
        return self._ticket.action

    @property
    def job_id(self) -> str | None:
        """The job's id, None where the API named no job."""
        return self._ticket.job_id or self.job.id

    @property
    def poll_url(self) -> str | None:
        """Where to look, as the API gave it; None where it named no job."""
        return self._ticket.poll_url

    @property
    def sent_at(self) -> float | None:
        """When the action was sent: seconds since the epoch, by the sender's clock."""
        return self._ticket.sent_at

    @property
    def accepted_at(self) -> float | None:
        """When it was accepted: seconds since the epoch, by the sender's clock."""
        return self._ticket.accepted_at

    def token(self) -> str:
        """A short text without secrets, for `client.operation(token)` in any other process."""
        return make_token(self._ticket)

    async def poll(self) -> Job:
        """Take one look at the job; one that has ended is not looked at again.

        Raises:
            OutcomeUnknown: The API named no job, or has forgotten it.
            UntrustedPollUrl: The poll URL leads away from the API; it was not followed.
        """
        return await self._look(None)

    async def wait(self, *, timeout: Seconds = 600) -> Job:  # noqa: ASYNC109 - the wait's own bound
        """Wait for the job's end; looks that fail for want of an answer are made up for later.

        Args:
            timeout: How long, in seconds or as a `timedelta`.

        Raises:
            JobFailed: The job ended in failure.
            WaitTimeout: It has not ended yet; it goes on, and its token goes with the error.
            OutcomeUnknown: The API named no job, or has forgotten it.
            UntrustedPollUrl: The poll URL leads away from the API; it was not followed.
        """
        longest = seconds(timeout, name="timeout")
        if not self.job.is_final:
            await self._watch(longest)
        if self.job.status == JobStatus.FAILED:
            why = f": {self.job.error}" if self.job.error else ", and it does not say why"
            msg = f"The {self._what} failed{why}. Look at the VPS before you try again."
            raise JobFailed(msg, vps_id=self.vps_id, job=self.job)
        return self.job

    async def _watch(self, longest: float) -> None:
        self._known_url()  # nothing to look at is known at once, not after the first gap
        give_up_at = anyio.current_time() + longest
        with anyio.move_on_after(longest):
            try:
                await watch(lambda: self._look(give_up_at - anyio.current_time()))
            except RateLimited as error:
                raise self._timed_out(why=f"no look is possible in time, {error}") from error
            return
        raise self._timed_out(why=f"it has not ended within {longest:.0f} s")

    async def _look(self, max_wait: float | None) -> Job:
        if self.job.is_final:
            return self.job
        url = self._caller.line.transport.trusted_url(self._known_url())
        try:
            job = await self._caller.get(url, read_job, max_wait=max_wait)
        except NotFound as error:
            raise self._lost(why="the API has forgotten the job", error=error) from error
        if not self.job.is_final:  # another look, begun later, may have ended sooner
            self.job = job
        return self.job

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
