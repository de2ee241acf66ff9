"""The VPSes and their jobs. Nothing runs in the background: states are computed from the time."""

from collections.abc import Iterable, Iterator
from heapq import heappop, heappush
from itertools import count
from math import inf

from attrs import define, field, frozen

from ._config import SandboxConfig
from ._ids import seeded_random, ulid
from ._job_rules import JobEnd
from ._rules import ACTIONS, RuleBox

_DAY = 86_400.0


@define(eq=False)
class SandboxJob:
    """One accepted action. Times are in seconds since the server started.

    Attributes:
        id: The job id.
        number: How many jobs came before it.
        vps_id: The VPS it is about.
        action: What is to be done.
        created: When it was accepted.
        started: When it leaves the queue.
        finished: When it ends; infinite while `finish` alone can end it.
        end: How it ends.
        error: Why it fails; None for a sentence about the hypervisor.
    """

    id: str
    number: int
    vps_id: str
    action: str
    created: float
    started: float
    finished: float
    end: JobEnd
    error: str | None = None

    @property
    def performs(self) -> bool:
        """Whether the action takes place when the job ends."""
        return self.end == "completed"

    def is_over(self, now: float) -> bool:
        """Whether it has ended."""
        return now >= self.finished

    def status(self, now: float) -> str:
        """Its status in documented words."""
        if self.is_over(now):
            return "failed" if self.end == "failed" else "completed"
        return "in_progress" if now >= self.started else "queued"

    def progress(self, now: float) -> int:
        """How far it is, from 0 to 100."""
        if self.is_over(now):
            return 100
        return max(0, int(100 * (now - self.started) / (self.finished - self.started or 1)))


@define(eq=False)
class Machine:
    """One VPS.

    Attributes:
        id: Its public id.
        number: Its place in the list.
        name: Its name, as the list shows it.
        suspended: Whether every action is refused.
        running: Whether it is powered on.
        booted: When it was last booted, in seconds since the server started.
        jobs: Its jobs that have not ended, oldest first.
        actions: Actions accepted so far.
        acted: When the last one was accepted.
    """

    id: str
    number: int
    name: str
    suspended: bool
    running: bool
    booted: float
    jobs: list[SandboxJob] = field(factory=list[SandboxJob])
    actions: int = 0
    acted: float = float("-inf")

    @property
    def pending(self) -> int:
        """How many of its jobs have not ended."""
        return len(self.jobs)

    @property
    def ip(self) -> str:
        """Its address, from the range 198.18.0.0/15, which is reserved for tests."""
        high, low = divmod(self.number, 256)
        return f"198.{18 + high // 256 % 2}.{high % 256}.{low}"

    def perform(self, action: str, at: float) -> None:
        """An action took place."""
        self.running = action not in {"stop", "shutdown"}
        self.booted = at


@frozen
class Gate:
    """Whether an action is allowed, and why not."""

    allowed: bool
    reason: str | None = None
    code: str | None = None


class Fleet:
    """All VPSes of the account and all jobs."""

    def __init__(self, config: SandboxConfig) -> None:
        self._config = config
        self.rules = RuleBox(config.job_rules, config.seed, "job rules")
        rng = seeded_random(config.seed, "uptime")
        first_stopped = config.vps - config.stopped
        self.machines = {
            id_: Machine(
                id_,
                n,
                _name(config, n),
                suspended=n < config.not_ready,
                running=n < first_stopped,
                booted=-rng.uniform(1, 90) * _DAY,
            )
            for n, id_ in enumerate(config.vps_ids)
        }
        self.jobs: dict[str, SandboxJob] = {}
        self._due: list[tuple[float, int, SandboxJob]] = []
        self._numbers = count()

    def settle(self, now: float) -> Iterator[SandboxJob]:
        """Let the jobs that have ended take effect; yield those that performed their action."""
        while self._due and self._due[0][0] <= now:
            job = heappop(self._due)[2]
            machine = self.machines[job.vps_id]
            if job not in machine.jobs:  # `finish` ended it sooner than was planned
                continue
            machine.jobs.remove(job)
            if job.performs:
                machine.perform(job.action, job.finished)
                yield job

    def gate(self, machine: Machine, action: str, now: float) -> Gate:
        """Whether `action` would be accepted now."""
        if machine.suspended:
            return Gate(allowed=False, reason="The VPS is suspended.", code="vps_not_ready")
        if now - machine.acted < self._config.cooldown:
            reason = "The VPS was acted upon a moment ago."
            return Gate(allowed=False, reason=reason, code="cooldown_active")
        if machine.running == (action == "start"):
            reason = f"The VPS is {'already' if machine.running else 'not'} running."
            return Gate(allowed=False, reason=reason, code="vps_not_ready")
        return Gate(allowed=True)

    def gates(self, machine: Machine, now: float) -> dict[str, Gate]:
        """The gates of all actions."""
        return {action: self.gate(machine, action, now) for action in ACTIONS}

    def accept(self, machine: Machine, action: str, now: float) -> SandboxJob:
        """Create the job of an action that is allowed."""
        job = self._draw(machine, action, now)
        machine.actions += 1
        machine.jobs.append(job)
        machine.acted = now
        self.jobs[job.id] = job
        heappush(self._due, (job.finished, job.number, job))
        return job

    def finish(self, vps_id: str, error: str | None, now: float) -> None:
        """End the oldest job of a VPS now, as failed where there is an `error`.

        Raises:
            ValueError: There is no such VPS, or no such job.
        """
        machine = self.machines.get(vps_id)
        if machine is None:
            raise ValueError(_unknown(vps_id, self.machines.values()))
        if not machine.jobs:
            had = "its last one has ended" if machine.actions else "it never had one"
            message = f"VPS {vps_id!r} has no job that could be finished: {had}"
            raise ValueError(message)
        job = machine.jobs[0]
        job.started, job.finished = min(job.started, now), now
        job.end, job.error = "completed" if error is None else "failed", error
        heappush(self._due, (now, job.number, job))

    def _draw(self, machine: Machine, action: str, now: float) -> SandboxJob:
        # Drawn for each VPS, not in order of arrival: a client's timing must not change the draw.
        rng = seeded_random(self._config.seed, machine.id, machine.actions)
        prefix = rng.choice(self._config.job_prefixes).replace("{action}", action)
        took = self._config.jobs.draw(rng)
        id_, number, end = prefix + ulid(rng), next(self._numbers), self._end(rng.random())
        rule, error = self.rules.pick(action, machine.id), None
        if rule is not None:
            end, error = rule.ends, rule.error
            took = took if rule.seconds is None else rule.seconds
        waits = took * self._config.jobs.queued
        finished = inf if end == "never" else now + took
        return SandboxJob(id_, number, machine.id, action, now, now + waits, finished, end, error)

    def _end(self, drawn: float) -> JobEnd:
        if drawn < self._config.job_failure_rate:
            return "failed"
        false = self._config.job_failure_rate + self._config.completed_with_success_false_rate
        if drawn < false:
            return "success_false"
        is_true = drawn >= false + self._config.completed_without_effect_rate
        return "completed" if is_true else "no_effect"

    def forget(self, job_id: str) -> None:
        """Answer polls of this job with 404 from now on; it runs nevertheless."""
        self.jobs.pop(job_id, None)

    def job(self, job_id: str, now: float) -> SandboxJob | None:
        """The job, unless it is unknown or forgotten."""
        job = self.jobs.get(job_id)
        keep = self._config.forget_after
        forgotten = job is not None and keep is not None and now - job.finished >= keep
        return None if forgotten else job


def _name(config: SandboxConfig, number: int) -> str:
    named = number < len(config.names)
    return config.names[number] if named else f"web-{number + 1}.example.com"


def _unknown(vps_id: str, machines: Iterable[Machine]) -> str:
    ids = [machine.id for machine in machines if machine.name == vps_id]
    about = f"; the VPS with that name is {ids[0]!r}" if ids else ""
    return f"there is no VPS with the id {vps_id!r} in this sandbox{about}"
