"""What must hold in every history: after every step, and after the last."""

from collections import Counter
from math import inf
from typing import Any, Final, cast

from hostup_async import Client, FleetReport, Outcome, OutcomeStatus
from hostup_async._ratelimit.budget import limiter_of
from hostup_async._ratelimit.limits import RateLimit, RequestClass
from hostup_async.sandbox import Limit
from hostup_async.sandbox._limiters import FixedWindow
from simulation.api import Call, Machine, SimulatedApi
from simulation.chance import Chance
from simulation.loop import Process, SimulatedLoop
from simulation.setup import FAULTS, RESEND, Setup
from simulation.store import Disk, SimulatedStore

# An operator who has a lost action sent again accepts a risk: that a job waits longer than this
# in a queue. Until then, evidence has to wait.
_PATIENCE_OF_RESEND: Final = 240.0
_UNTOUCHED: Final = frozenset({"refused", "skipped", "not_sent"})
_SENT: Final = (
    "intent", "accepted", "completed", "failed", "ambiguous", "timed_out", "not_followed",
    "refused", "not_done",
)  # fmt: skip
_BY_THE_KEY: Final = frozenset({"unauthorized", "forbidden"})
# Seconds: a job that ended this long before the end of its run has been polled since, where each
# poll is answered and the disk is quick.
_LAST_POLL: Final = 1.0
# Last polls under way at once, while no limit is known.
_AT_ONCE: Final = 4
# Seconds for which a run goes on after that, at most, where other VPSes' statuses are being read.
_LAST_READS: Final = 10.0
# Seconds: a send that is under way has connected by then.
_BEGUN: Final = 5.0


# Where actions and reads have limits of their own, these two kinds have a queue each.
_KINDS: Final = (RequestClass.ACTION, RequestClass.POLL)


class Broken(Exception):
    """An invariant does not hold.

    Attributes:
        invariant: Which.
    """

    def __init__(self, invariant: str, what: str) -> None:
        super().__init__(invariant, what)
        self.invariant: Final = invariant

    def __str__(self) -> str:
        return ": ".join(self.args)


class Checks:
    """The invariants of one history, and what they saw."""

    def __init__(self, loop: SimulatedLoop, chance: Chance, setup: Setup, disk: Disk) -> None:
        self._loop: Final = loop
        self._setup: Final = setup
        self._disk: Final = disk
        self._chance: Final = chance
        self.api: SimulatedApi | None = None
        self._queues: Final = list[tuple[Process, dict[RequestClass, Any]]]()
        self.found: Final = list[Broken]()
        self._windows: Final[dict[Process, FixedWindow]] = {}
        self._began: Final = loop.now
        # An operator who resumes a run after its stop has its bounds count anew.
        self._begins_anew: Final = setup.plot in {"stop", "leave"}
        self._is_fleet: Final = setup.plot != "direct"

    def fail(self, invariant: str, what: str) -> None:
        self.found.append(Broken(invariant, f"{what} (at {self._loop.now:.3f})"))

    def on_send(self, process: Process, call: Call) -> None:
        """A process is about to send."""
        now, style = self._loop.now, self._setup.limit
        if style is None or (pause := process.pauses.get(style.group(call.kind))) is None:
            return
        had_its_permit = process.saving.get(call.vps_id, now) <= pause.at
        if now < pause.until - 1e-3 and not (call.kind == "reset" and had_its_permit):
            left = pause.until - now
            self.fail("sent in a pause", f"{call.kind} by {process.name}, {left:.3f} s too early")

    def on_wire(self, process: Process, call: Call) -> None:
        """The first byte of a request is about to leave."""
        if self._setup.given_limit is not None:
            self._check_limit(process, self._setup.given_limit, call)
        if call.kind == "reset" and self._is_fleet:
            self._check_intent(process, call)
            self._check_in_flight(process)
            self._check_canaries(process)
            self._check_stopped(process)

    def _check_limit(self, process: Process, limit: RateLimit, call: Call) -> None:
        if process not in self._windows:
            kept = Limit(requests=int(limit.requests), seconds=limit.window - 1e-3)
            self._windows[process] = FixedWindow(kept)
        if not self._windows[process].take(self._loop.now).allowed:
            self.fail("above the known limit", f"{call.kind} by {process.name}, limit {limit}")

    def _check_intent(self, process: Process, call: Call) -> None:
        entry = self._disk.entry_of(process.run_id, call.vps_id)
        if entry is None or entry.state != "intent":
            state = entry.state if entry else None
            self.fail("sent without an intent", f"{call.vps_id} is {state} on disk")
        if not self._disk.is_held_by(process.run_id, process):
            self.fail("sent without the lease", f"{call.vps_id} by {process.name}")

    def _check_in_flight(self, process: Process) -> None:
        bound = self._setup.policy.max_in_flight
        if bound is None:
            return
        unknown = self._disk.count(process.run_id, "intent", "accepted")
        if unknown > bound:
            self.fail("more in flight than W", f"{unknown} by {process.name}")

    def _check_canaries(self, process: Process) -> None:
        canary = self._setup.policy.canary
        if not canary or self.api is None or self._begins_anew:
            return
        sent = self._disk.count(process.run_id, *_SENT)
        done = sum(self._may_be_done(one) for one in self.api.machines.values())
        if sent > canary > done:
            self.fail("more than the canaries", f"{sent} sent, {done} done")

    def _check_stopped(self, process: Process) -> None:
        """Nothing is sent once a bound is reached; a send that had begun by then may end."""
        policy = self._setup.policy
        if self._begins_anew or policy.max_failures is policy.max_ambiguous is None:
            return
        outcomes = self._disk.outcomes(process.run_id, self._loop.now - _BEGUN)
        failures = sum(status.is_failure for status in outcomes)
        doubts = outcomes.count(OutcomeStatus.AMBIGUOUS)
        if failures >= (policy.max_failures or inf) or doubts >= (policy.max_ambiguous or inf):
            self.fail("sent after the stop", f"{failures} failures, {doubts} doubts")

    def _may_be_done(self, machine: Machine) -> bool:
        """Whether an action's success can be believed by now, also because it booted by itself."""
        now = self._loop.now
        has_ended = any(job.ends_at <= now for job in machine.jobs)
        return has_ended or machine.booted_between(self._began, now)

    def after_step(self) -> None:
        """Cheap: what every moment must satisfy."""
        for process, queues in self._queues:
            for kind in _KINDS:
                in_flight = queues[kind]._ledger.in_flight
                if in_flight < 0:
                    self.fail("permits", f"{in_flight} in flight in {process.name}")
        self.raise_if_broken()

    def watch(self, process: Process, client: Client) -> None:
        """Look after a client from now on."""
        self._queues.append((process, cast("Any", limiter_of(client.budget))._queues))

    def forget(self, process: Process) -> None:
        """A process was killed: its memory is gone."""
        self._queues[:] = [one for one in self._queues if one[0] is not process]

    def raise_if_broken(self) -> None:
        """Raise the first that was found."""
        if self.found:
            raise self.found[0]

    def after_accept(self, machine: Machine) -> None:
        """An action was accepted."""
        if len(machine.jobs) < 2:
            return
        if self._setup.policy.on_ambiguous == RESEND and self._is_fleet:
            reboots = sum(job.reboots_at is not None for job in machine.jobs)
            if reboots < 2 or self._setup.longest_job > _PATIENCE_OF_RESEND:
                return
        posts = [job.accepted_at for job in machine.jobs]
        times = ", ".join(f"{moment:.3f}" for moment in posts)
        self.fail("reset twice", f"{machine.id} at {times}")

    def report(self, report: FleetReport, began: float, *, counts_anew: bool) -> None:
        """A run has ended and told its outcomes."""
        ids = Counter(outcome.vps_id for outcome in report.outcomes)
        assert self.api is not None
        if set(ids) != set(self.api.machines) or set(ids.values()) != {1}:
            self.fail("an outcome is missing", f"{sorted(ids.items())}")
        for outcome in report.outcomes:
            self._check_outcome(outcome, report.run_id, began)
        self._check_cause(report)
        if not counts_anew:
            self._check_bounds(report)

    def _check_outcome(self, outcome: Outcome, run_id: str, began: float) -> None:
        assert self.api is not None
        machine, status = self.api.machines[outcome.vps_id], str(outcome.status)
        jobs = [job for job in machine.jobs if job.run_id == run_id]
        was_lied_to = outcome.evidence is None and machine.has_untrue_job
        booted = machine.booted_between(began, self._loop.now)
        if status == "completed" and not booted and not was_lied_to:
            self.fail("untrue completed", f"{outcome.vps_id} did not boot: {outcome.evidence}")
        if status == "refused" and machine.refusals <= _BY_THE_KEY:
            by = "by a wrong key" if machine.refusals else "by no one"
            self.fail(f"refused {by}", f"{outcome.vps_id}: {outcome.reason}")
        is_late = status in {"timed_out", "not_followed"}
        if is_late and self._is_calm and jobs and jobs[-1].told:
            late = self._loop.now - jobs[-1].ends_at
            if late > self._last_poll and jobs[-1].ends_at < jobs[-1].accepted_at + self._patience:
                text = f"{outcome.vps_id}, {status}, had ended {late:.1f} s before"
                self.fail("untrue timed_out", text)
        if self._setup.policy.on_ambiguous == RESEND:  # the first one may have come to nothing
            jobs = [job for job in jobs if job.reboots_at is not None]
        if status in _UNTOUCHED and jobs:
            self.fail(f"untrue {status}", f"{outcome.vps_id} was sent: {outcome.reason}")
        reboots = any(job.reboots_at is not None for job in jobs)
        if status == "not_done" and reboots and self._setup.longest_job <= _PATIENCE_OF_RESEND:
            self.fail("untrue not_done", f"{outcome.vps_id} was reset")

    @property
    def _is_calm(self) -> bool:
        """Whether each poll is answered, and recorded, at once, and this is the run's end."""
        spoils_polls = any(FAULTS[kind] not in {"reset", "status"} for kind in self._setup.rates)
        is_slow = self._chance.counts["slow_disk"] > 0
        is_checked_late = self._setup.plot in {"takeover", "rival"}  # once the other one has ended
        return self._setup.limit is None and not (spoils_polls or is_slow or is_checked_late)

    @property
    def _last_poll(self) -> float:
        """How long before the end of the run a job was polled last."""
        reads = self._setup.policy.verify or self._setup.rates
        polls = self._setup.vps * 2 * self._setup.latency / _AT_ONCE
        return _LAST_POLL + polls + (_LAST_READS if reads else 0.0)

    @property
    def _patience(self) -> float:
        return self._setup.policy.job_timeout

    def _check_cause(self, report: FleetReport) -> None:
        """A run stops for what happened, and not for a stray answer or a bug."""
        cause, fired = str(report.stop_cause), self._chance.counts
        may_be = {
            "error": False,
            "key_refused": fired["unauthorized"] or fired["forbidden"],
            "unreachable": fired["refused_connection"],
            "rate_limit": self._setup.limit is not None,
        }
        if not may_be.get(cause, True):
            self.fail("stopped for no reason", f"{cause}: {report.stopped}")

    def _check_bounds(self, report: FleetReport) -> None:
        policy = self._setup.policy
        failures = sum(outcome.status.is_failure for outcome in report.outcomes)
        doubts = sum(outcome.status == "ambiguous" for outcome in report.outcomes)
        for name, count, most in (
            ("failures", failures, policy.max_failures),
            ("doubts", doubts, policy.max_ambiguous),
        ):
            if most is None or policy.max_in_flight is None or most < 1:
                continue
            if count > most + policy.max_in_flight:
                self.fail(f"more {name} than k + W", f"{count}")

    def released(self, process: Process, store: SimulatedStore) -> None:
        """A run was left."""
        if store.holds(process.run_id):
            self.fail("left behind", f"the lease of {process.run_id} in {process.name}")

    def nothing_left(self, process: Process, client: Client) -> None:
        """A client was closed."""
        snapshot = client.budget.snapshot()
        if snapshot.queued or snapshot.in_flight:
            left = f"{snapshot.in_flight} permits, {snapshot.queued} queued"
            self.fail("left behind", f"{left} in {process.name}")
        if process.under_way:
            self.fail("left behind", f"{process.under_way} connections in {process.name}")
        if client._poller._watches or client._requester._actions_under_way:
            self.fail("left behind", f"watches or actions in {process.name}")
